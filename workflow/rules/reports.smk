# Tables that a reader opens first.
#
# Requires: <results>/statistics/{panel}/*.csv and the published numbers; the data files of every
#           system
# Gives:    <results>/tables/panel.csv, panel_per_seed.csv, separation.csv, versions.csv, systems.csv,
#           all as HTML too


# The published panel first: all others are set beside it.
PANELS = sorted(STUDY.panel, key=lambda panel: panel != "published")


rule tabulate_panel:
    input:
        observations=collect(
            "<results>/statistics/{panel}/observations.csv", panel=PANELS
        ),
        intervals=collect("<results>/statistics/{panel}/intervals.csv", panel=PANELS),
        relative=collect(
            "<results>/statistics/{panel}/relative_intervals.csv", panel=PANELS
        ),
        dichotomies=collect("<results>/statistics/{panel}/dichotomy.json", panel=PANELS),
        published_values=RESOURCES / "published/panel_per_seed.csv",
        published_intervals=RESOURCES / "published/dichotomy.csv",
    output:
        "<results>/tables/panel.csv",
        "<results>/tables/panel_per_seed.csv",
        "<results>/tables/separation.csv",
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
        report(
            "<results>/tables/separation.html",
            caption="../report/separation.rst",
            category="Headline",
            labels={"table": "The separation of the groups"},
        ),
    log:
        "<logs>/tabulate_panel.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: json.dumps(
            {
                "panels": PANELS,
                "published_as": {
                    name: STUDY.systems[name].published_as
                    for name in STUDY.panel["published"]
                },
                "stands_for": {
                    panel: {
                        name: other
                        for name in STUDY.panel[panel]
                        if (other := counterpart(name))
                    }
                    for panel in PANELS[1:]
                },
                "labels": {
                    name: STUDY.systems[name].label
                    for name in STUDY.panel["published"]
                },
            }
        ),
        code=code_of("tabulate_panel.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/tabulate_panel.py" --log {log:q} '
        "--settings {params.settings:q} --observations {input.observations:q} "
        "--intervals {input.intervals:q} --relative {input.relative:q} "
        "--dichotomies {input.dichotomies:q} "
        "--published_values {input.published_values:q} "
        "--published_intervals {input.published_intervals:q} --output {output:q}"


rule tabulate_provenance:
    input:
        # Sorted, so that the order of systems in the study changes nothing.
        states=collect("<results>/states/{system}.nc", system=sorted(OWN_STATES)),
        fisher=collect("<results>/fisher/{system}.nc", system=sorted(STUDY.systems)),
        tiers=collect("<results>/tiers/{system}.nc", system=sorted(STUDY.systems)),
    output:
        "<results>/tables/versions.csv",
        "<results>/tables/systems.csv",
        report(
            "<results>/tables/versions.html",
            caption="../report/provenance_versions.rst",
            category="Provenance",
            labels={"table": "Versions"},
        ),
        report(
            "<results>/tables/systems.html",
            caption="../report/provenance_systems.rst",
            category="Provenance",
            labels={"table": "Systems and their code"},
        ),
    log:
        "<logs>/tabulate_provenance.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: as_json(groups=STUDY.groups(), commit=commit()),
        code=code_of("tabulate_provenance.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/tabulate_provenance.py" --log {log:q} '
        "--settings {params.settings:q} --states {input.states:q} --fisher {input.fisher:q} "
        "--tiers {input.tiers:q} --output {output:q}"
