# Statistics of a panel: the published tests, and the tests that the data allow.
#
# Requires: <results>/tiers/{system}.nc and <results>/convergence/{system}.nc
# Gives:    <results>/statistics/{panel}/*.csv and *.json

PANELS = list(STUDY.panel)


wildcard_constraints:
    panel=names(PANELS),


def members(panel):
    """Name and claimed group of each system of a panel, in its order."""
    return [(name, STUDY.systems[name].group) for name in STUDY.panel[panel]]


def statistics_settings(*entries):
    """The named entries of the statistics section, as JSON."""
    return json.dumps({entry: STUDY.config["statistics"][entry] for entry in entries})


rule collect_observations:
    input:
        lambda wildcards: collect(
            "<results>/tiers/{system}.nc", system=STUDY.panel[wildcards.panel]
        ),
    output:
        "<results>/statistics/{panel}/observations.csv",
    log:
        "<logs>/collect_observations/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=700,
        runtime=5,
    params:
        settings=lambda wildcards: json.dumps(
            {"value": wildcards.panel, "members": members(wildcards.panel)}
        ),
        code=code_of("collect_observations.py"),
    shell:
        "python $FIMTIERS_SCRIPTS/collect_observations.py --log {log:q} "
        "--settings {params.settings:q} --tiers {input:q} --output {output:q}"


rule estimate_intervals:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        "<results>/statistics/{panel}/intervals.csv",
        "<results>/statistics/{panel}/point_intervals.csv",
    log:
        "<logs>/estimate_intervals/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=700,
        runtime=5,
    params:
        settings=statistics_settings("seed", "confidence", "resamples", "threshold"),
        code=code_of("estimate_intervals.py"),
    shell:
        "python $FIMTIERS_SCRIPTS/estimate_intervals.py --log {log:q} "
        "--settings {params.settings:q} --observations {input.observations:q} "
        "--output {output:q}"


rule test_dichotomy:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        "<results>/statistics/{panel}/dichotomy.json",
    log:
        "<logs>/test_dichotomy/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=700,
        runtime=5,
    params:
        settings=statistics_settings("seed", "confidence", "cluster_resamples"),
        code=code_of("test_dichotomy.py"),
    shell:
        "python $FIMTIERS_SCRIPTS/test_dichotomy.py --log {log:q} "
        "--settings {params.settings:q} --observations {input.observations:q} "
        "--output {output:q}"


rule sweep_thresholds:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        "<results>/statistics/{panel}/thresholds.csv",
        "<results>/statistics/{panel}/roc.csv",
        "<results>/statistics/{panel}/leave_one_system_out.csv",
    log:
        "<logs>/sweep_thresholds/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=700,
        runtime=5,
    params:
        settings=statistics_settings("thresholds"),
        code=code_of("sweep_thresholds.py"),
    shell:
        "python $FIMTIERS_SCRIPTS/sweep_thresholds.py --log {log:q} "
        "--settings {params.settings:q} --observations {input.observations:q} "
        "--output {output:q}"


rule repeat_published_resampling:
    input:
        intervals="<results>/statistics/published/intervals.csv",
    output:
        "<results>/statistics/published/pseudodata_thresholds.csv",
        "<results>/statistics/published/pseudodata_bootstrap.json",
    log:
        "<logs>/repeat_published_resampling.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=700,
        runtime=5,
    params:
        settings=statistics_settings("seed", "thresholds", "cluster_resamples"),
        code=code_of("repeat_published_resampling.py"),
    shell:
        "python $FIMTIERS_SCRIPTS/repeat_published_resampling.py --log {log:q} "
        "--settings {params.settings:q} --intervals {input.intervals:q} --output {output:q}"
