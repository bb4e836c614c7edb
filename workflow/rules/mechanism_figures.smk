# Figures of the mechanism, each as SVG and PDF, with the sentences of its caption in a third file.
#
# Requires: <results>/tables/sweeps_runs.csv, sweeps_fits.csv, sweeps_laws.csv, sweeps_predictions.csv,
#           sweeps_levels.csv and sweeps_drift.csv
# Gives:    <results>/figures/mechanism_{figure}.svg, .pdf and .rst


rule plot_sweeps:
    input:
        runs="<results>/tables/sweeps_runs.csv",
        laws="<results>/tables/sweeps_laws.csv",
    output:
        svg=report(
            "<results>/figures/mechanism_{figure}.svg",
            caption="../report/sweeps.rst",
            category="Mechanism",
            labels=figure_labels("mechanism_{figure}", "Tier ratios: {figure}"),
        ),
        pdf="<results>/figures/mechanism_{figure}.pdf",
        text="<results>/figures/mechanism_{figure}.rst",
    log:
        "<logs>/plot_sweeps/{figure}.log",
    wildcard_constraints:
        figure=names(name for name in SWEEP_FIGURES if name not in OF_THEIR_OWN),
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: sweep_figure(
            wildcards.figure, threshold=STUDY.config["statistics"]["threshold"]
        ),
        code=code_of("plot_sweeps.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_sweeps.py" --log {log:q} '
        "--settings {params.settings:q} --runs {input.runs:q} --laws {input.laws:q} "
        "--output {output:q}"


rule plot_depth_law:
    input:
        runs="<results>/tables/sweeps_runs.csv",
        fits="<results>/tables/sweeps_fits.csv",
        laws="<results>/tables/sweeps_laws.csv",
    output:
        svg=report(
            "<results>/figures/mechanism_depth_law.svg",
            caption="../report/mechanism_depth_law.rst",
            category="Mechanism",
            labels=figure_labels("mechanism_depth_law", "The depth law"),
        ),
        pdf="<results>/figures/mechanism_depth_law.pdf",
        text="<results>/figures/mechanism_depth_law.rst",
    log:
        "<logs>/plot_depth_law.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: sweep_figure("depth_law"),
        code=code_of("plot_depth_law.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_depth_law.py" --log {log:q} '
        "--settings {params.settings:q} --runs {input.runs:q} --fits {input.fits:q} "
        "--laws {input.laws:q} --output {output:q}"


rule plot_variance:
    input:
        runs="<results>/tables/sweeps_runs.csv",
    output:
        svg=report(
            "<results>/figures/mechanism_variance.svg",
            caption="../report/mechanism_variance.rst",
            category="Mechanism",
            labels=figure_labels(
                "mechanism_variance", "Variance between and within layers"
            ),
        ),
        pdf="<results>/figures/mechanism_variance.pdf",
        text="<results>/figures/mechanism_variance.rst",
    log:
        "<logs>/plot_variance.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: sweep_figure("variance"),
        code=code_of("plot_variance.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_variance.py" --log {log:q} '
        "--settings {params.settings:q} --runs {input.runs:q} --output {output:q}"


rule plot_theory:
    input:
        runs="<results>/tables/sweeps_runs.csv",
        predictions="<results>/tables/sweeps_predictions.csv",
    output:
        svg=report(
            "<results>/figures/mechanism_theory.svg",
            caption="../report/mechanism_theory.rst",
            category="Mechanism",
            labels=figure_labels("mechanism_theory", "Theory and measurement"),
        ),
        pdf="<results>/figures/mechanism_theory.pdf",
        text="<results>/figures/mechanism_theory.rst",
    log:
        "<logs>/plot_theory.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: sweep_figure("theory"),
        code=code_of("plot_theory.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_theory.py" --log {log:q} '
        "--settings {params.settings:q} --runs {input.runs:q} "
        "--predictions {input.predictions:q} --output {output:q}"


rule plot_layers:
    input:
        levels="<results>/tables/sweeps_levels.csv",
        drift="<results>/tables/sweeps_drift.csv",
    output:
        svg=report(
            "<results>/figures/mechanism_layers.svg",
            caption="../report/mechanism_layers.rst",
            category="Mechanism",
            labels=figure_labels("mechanism_layers", "Levels of the layers"),
        ),
        pdf="<results>/figures/mechanism_layers.pdf",
        text="<results>/figures/mechanism_layers.rst",
    log:
        "<logs>/plot_layers.log",
    conda:
        "../envs/plotting.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: sweep_figure("layers"),
        code=code_of("plot_layers.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/plot_layers.py" --log {log:q} '
        "--settings {params.settings:q} --levels {input.levels:q} "
        "--drift {input.drift:q} --output {output:q}"
