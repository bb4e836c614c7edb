# Figures, each as SVG and PDF, with the sentences of its caption in a third file.
#
# Requires: <results>/statistics/{panel}/*.csv, <results>/fisher/{system}.nc, published numbers
# Gives:    <results>/figures/*.svg, *.pdf and *.rst

FIGURES = collect(
    "<results>/figures/{figure}_{panel}.{kind}",
    figure=["dichotomy", "relative", "log_fisher", "thresholds", "invariants"],
    panel=STUDY.panel,
    kind=FIGURE_FILES,
) + collect("<results>/figures/margin.{kind}", kind=FIGURE_FILES)


rule plot_dichotomy:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
        intervals="<results>/statistics/{panel}/intervals.csv",
        published=RESOURCES / "published/dichotomy.csv",
    output:
        svg=report(
            "<results>/figures/dichotomy_{panel}.svg",
            caption="../report/dichotomy.rst",
            category="Headline",
            labels=figure_labels(
                "dichotomy_{panel}", "The dichotomy", panel="{panel}"
            ),
        ),
        pdf="<results>/figures/dichotomy_{panel}.pdf",
        text="<results>/figures/dichotomy_{panel}.rst",
    log:
        "<logs>/plot_dichotomy/{panel}.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=panel_settings(
            "threshold",
            published_as=published_names,
            number=number_of("dichotomy"),
            relative=lambda panel: False,
        ),
        code=code_of("plot_dichotomy.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_dichotomy.py" --log {log:q} '
        "--settings {params.settings:q} --observations {input.observations:q} "
        "--intervals {input.intervals:q} --published {input.published:q} --output {output:q}"


use rule plot_dichotomy as plot_relative with:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
        intervals="<results>/statistics/{panel}/relative_intervals.csv",
        published=RESOURCES / "published/dichotomy.csv",
    output:
        svg=report(
            "<results>/figures/relative_{panel}.svg",
            caption="../report/relative.rst",
            category="Headline",
            labels=figure_labels(
                "relative_{panel}", "The dichotomy of θ²F", panel="{panel}"
            ),
        ),
        pdf="<results>/figures/relative_{panel}.pdf",
        text="<results>/figures/relative_{panel}.rst",
    log:
        "<logs>/plot_relative/{panel}.log",
    params:
        settings=panel_settings(
            "threshold",
            published_as=published_names,
            number=number_of("relative"),
            relative=lambda panel: True,
        ),
        code=code_of("plot_dichotomy.py"),


rule plot_log_fisher:
    input:
        fisher=lambda wildcards: collect(
            "<results>/fisher/{system}.nc", system=STUDY.panel[wildcards.panel]
        ),
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        svg=report(
            "<results>/figures/log_fisher_{panel}.svg",
            caption="../report/log_fisher.rst",
            category="Systems",
            labels=figure_labels(
                "log_fisher_{panel}", "Distribution of log F", panel="{panel}"
            ),
        ),
        pdf="<results>/figures/log_fisher_{panel}.pdf",
        text="<results>/figures/log_fisher_{panel}.rst",
    log:
        "<logs>/plot_log_fisher/{panel}.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=panel_settings(
            groups=lambda panel: dict(members(panel)), number=number_of("log_fisher")
        ),
        code=code_of("plot_log_fisher.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_log_fisher.py" --log {log:q} '
        "--settings {params.settings:q} --fisher {input.fisher:q} "
        "--observations {input.observations:q} --output {output:q}"


rule plot_thresholds:
    input:
        roc="<results>/statistics/{panel}/roc.csv",
        thresholds="<results>/statistics/{panel}/thresholds.csv",
        windows="<results>/statistics/{panel}/leave_one_system_out.csv",
        published=RESOURCES / "published/thresholds.csv",
    output:
        svg=report(
            "<results>/figures/thresholds_{panel}.svg",
            caption="../report/thresholds.rst",
            category="Tests",
            labels=figure_labels(
                "thresholds_{panel}", "Threshold and ROC curve", panel="{panel}"
            ),
        ),
        pdf="<results>/figures/thresholds_{panel}.pdf",
        text="<results>/figures/thresholds_{panel}.rst",
    log:
        "<logs>/plot_thresholds/{panel}.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=panel_settings("threshold", number=number_of("thresholds")),
        code=code_of("plot_thresholds.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_thresholds.py" --log {log:q} '
        "--settings {params.settings:q} --roc {input.roc:q} --thresholds {input.thresholds:q} "
        "--windows {input.windows:q} --published {input.published:q} --output {output:q}"


rule plot_invariants:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        svg=report(
            "<results>/figures/invariants_{panel}.svg",
            caption="../report/invariants.rst",
            category="Controls",
            labels=figure_labels(
                "invariants_{panel}", "Statistics without tiers", panel="{panel}"
            ),
        ),
        pdf="<results>/figures/invariants_{panel}.pdf",
        text="<results>/figures/invariants_{panel}.rst",
    log:
        "<logs>/plot_invariants/{panel}.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=panel_settings(number=number_of("invariants")),
        code=code_of("plot_invariants.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_invariants.py" --log {log:q} '
        "--settings {params.settings:q} --observations {input.observations:q} "
        "--output {output:q}"


rule plot_margin:
    input:
        margin=collect("<results>/statistics/{panel}/margin.csv", panel=STUDY.panel),
        convergence=collect(
            "<results>/statistics/{panel}/convergence.csv", panel=STUDY.panel
        ),
    output:
        svg=report(
            "<results>/figures/margin.svg",
            caption="../report/margin.rst",
            category="Controls",
            labels=figure_labels(
                "margin", "Margin against probes", panel="all panels"
            ),
        ),
        pdf="<results>/figures/margin.pdf",
        text="<results>/figures/margin.rst",
    log:
        "<logs>/plot_margin.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: json.dumps(
            {
                "number": FIGURE_NUMBERS["margin"],
                "panels": list(STUDY.panel),
                "labels": {
                    name: STUDY.systems[name].label
                    for panel in STUDY.panel.values()
                    for name in panel
                },
            }
        ),
        code=code_of("plot_margin.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_margin.py" --log {log:q} '
        "--settings {params.settings:q} --margin {input.margin:q} "
        "--convergence {input.convergence:q} --output {output:q}"
