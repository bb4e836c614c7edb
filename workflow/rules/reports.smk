# Tables that a reader opens first.
#
# Requires: <results>/statistics/{panel}/*.csv and the published numbers
# Gives:    <results>/tables/panel.csv, <results>/tables/panel_per_seed.csv, both as HTML too


rule tabulate_panel:
    input:
        observations="<results>/statistics/published/observations.csv",
        intervals="<results>/statistics/published/intervals.csv",
        corrected="<results>/statistics/corrected/intervals.csv",
        published_values=RESOURCES / "published/panel_per_seed.csv",
        published_intervals=RESOURCES / "published/dichotomy.csv",
    output:
        "<results>/tables/panel.csv",
        "<results>/tables/panel_per_seed.csv",
        report(
            "<results>/tables/panel.html",
            caption="../report/panel.rst",
            category="Headline",
            labels={"table": "Systems, published and measured"},
        ),
        report(
            "<results>/tables/panel_per_seed.html",
            caption="../report/panel_per_seed.rst",
            category="Headline",
            labels={"table": "Seeds, published and measured"},
        ),
    log:
        "<logs>/tabulate_panel.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=json.dumps(
            {
                "published_as": {
                    name: STUDY.systems[name].published_as
                    for name in STUDY.panel["published"]
                },
                "corrects": {
                    name: STUDY.systems[name].corrects
                    for name in STUDY.panel["corrected"]
                    if STUDY.systems[name].corrects
                },
                "labels": {
                    name: STUDY.systems[name].label
                    for name in STUDY.panel["published"]
                },
            }
        ),
        code=code_of("tabulate_panel.py"),
    shell:
        "python $FIMTIERS_SCRIPTS/tabulate_panel.py --log {log:q} "
        "--settings {params.settings:q} --observations {input.observations:q} "
        "--intervals {input.intervals:q} --corrected {input.corrected:q} "
        "--published_values {input.published_values:q} "
        "--published_intervals {input.published_intervals:q} --output {output:q}"
