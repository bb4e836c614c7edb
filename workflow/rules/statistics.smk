# Statistics of a panel: the published tests, and the tests that the data allow.
#
# Requires: <results>/tiers/{system}.nc and <results>/convergence/{system}.nc
# Gives:    <results>/statistics/{panel}/*.csv and *.json


wildcard_constraints:
    panel=names(STUDY.panel),


rule collect_observations:
    input:
        tiers=lambda wildcards: collect(
            "<results>/tiers/{system}.nc", system=STUDY.panel[wildcards.panel]
        ),
        fisher=lambda wildcards: collect(
            "<results>/fisher/{system}.nc", system=STUDY.panel[wildcards.panel]
        ),
    output:
        "<results>/statistics/{panel}/observations.csv",
    log:
        "<logs>/collect_observations/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: json.dumps(
            {"value": wildcards.panel, "members": members(wildcards.panel)}
        ),
        code=code_of("collect_observations.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/collect_observations.py" --log {log:q} '
        "--settings {params.settings:q} --tiers {input.tiers:q} --fisher {input.fisher:q} "
        "--output {output:q}"


use rule collect_observations as collect_controls with:
    input:
        tiers=collect(
            "<results>/tiers/{system}.nc",
            system=STUDY.config["statistics"].get("controls", []),
        ),
        fisher=collect(
            "<results>/fisher/{system}.nc",
            system=STUDY.config["statistics"].get("controls", []),
        ),
    output:
        "<results>/statistics/controls.csv",
    log:
        "<logs>/collect_controls.log",
    params:
        settings=lambda wildcards: as_json(
            {
                "value": "corrected",
                "members": [
                    (name, STUDY.systems[name].group)
                    for name in STUDY.config["statistics"].get("controls", [])
                ],
            }
        ),
        code=code_of("collect_observations.py"),


rule estimate_intervals:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        "<results>/statistics/{panel}/intervals.csv",
        "<results>/statistics/{panel}/point_intervals.csv",
        "<results>/statistics/{panel}/relative_intervals.csv",
    log:
        "<logs>/estimate_intervals/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=statistics_settings("seed", "confidence", "resamples", "threshold"),
        code=code_of("estimate_intervals.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/estimate_intervals.py" --log {log:q} '
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
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=statistics_settings("seed", "confidence", "cluster_resamples"),
        code=code_of("test_dichotomy.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/test_dichotomy.py" --log {log:q} '
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
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=statistics_settings("thresholds"),
        code=code_of("sweep_thresholds.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/sweep_thresholds.py" --log {log:q} '
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
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=statistics_settings("seed", "thresholds", "cluster_resamples"),
        code=code_of("repeat_published_resampling.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/repeat_published_resampling.py" --log {log:q} '
        "--settings {params.settings:q} --intervals {input.intervals:q} --output {output:q}"


rule measure_margin:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
        convergence=lambda wildcards: collect(
            "<results>/convergence/{system}.nc", system=converging(wildcards.panel)
        ),
    output:
        "<results>/statistics/{panel}/convergence.csv",
        "<results>/statistics/{panel}/margin.csv",
    log:
        "<logs>/measure_margin/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: json.dumps(
            {
                "value": wildcards.panel,
                "margin_factors": STUDY.config["statistics"]["margin_factors"],
                "converging": [
                    (name, group, STUDY.systems[name].settings["probes"])
                    for name, group in members(wildcards.panel)
                    if name in converging(wildcards.panel)
                ],
            }
        ),
        code=code_of("measure_margin.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/measure_margin.py" --log {log:q} '
        "--settings {params.settings:q} "
        "--observations {input.observations:q} --convergence {input.convergence:q} --output {output:q}"


rule extrapolate_probes:
    input:
        convergence="<results>/statistics/{panel}/convergence.csv",
    output:
        "<results>/statistics/{panel}/probe_limits.csv",
    log:
        "<logs>/extrapolate_probes/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=statistics_settings("confidence"),
        code=code_of("extrapolate_probes.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/extrapolate_probes.py" --log {log:q} '
        "--settings {params.settings:q} "
        "--convergence {input.convergence:q} --output {output:q}"


rule describe_without_tiers:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        "<results>/statistics/{panel}/partition_free.csv",
        "<results>/statistics/{panel}/partition_free.json",
    log:
        "<logs>/describe_without_tiers/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        code=code_of("describe_without_tiers.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/describe_without_tiers.py" --log {log:q} '
        "--observations {input.observations:q} --output {output:q}"


rule classify_held_out:
    input:
        observations="<results>/statistics/{panel}/observations.csv",
    output:
        "<results>/statistics/{panel}/classifiers.csv",
    log:
        "<logs>/classify_held_out/{panel}.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        code=code_of("classify_held_out.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/classify_held_out.py" --log {log:q} '
        "--observations {input.observations:q} --output {output:q}"


rule test_uniqueness:
    input:
        collect(
            "<results>/fisher/{system}.nc",
            system=STUDY.config["statistics"].get("uniqueness", []),
        ),
    output:
        "<results>/statistics/uniqueness.json",
    log:
        "<logs>/test_uniqueness.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        code=code_of("test_uniqueness.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/test_uniqueness.py" --log {log:q} '
        "--fisher {input:q} --output {output:q}"


rule cut_partitions:
    input:
        fisher=collect(
            "<results>/fisher/{system}.nc",
            system=STUDY.config["statistics"].get("partition_grid", []),
        ),
    output:
        "<results>/statistics/partition_grid.csv",
    log:
        "<logs>/cut_partitions.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=json.dumps(
            {
                "seeds": (
                    STUDY.systems[STUDY.config["statistics"]["partition_grid"]].seeds
                    if "partition_grid" in STUDY.config["statistics"]
                    else []
                )
            }
        ),
        code=code_of("cut_partitions.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/cut_partitions.py" --log {log:q} '
        "--settings {params.settings:q} "
        "--fisher {input.fisher:q} --output {output:q}"


rule bootstrap_exponents:
    input:
        points=RESOURCES / "published/scaling_points.csv",
    output:
        "<results>/statistics/exponents.csv",
    log:
        "<logs>/bootstrap_exponents.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=statistics_settings("seed", "confidence", "resamples"),
        code=code_of("bootstrap_exponents.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/bootstrap_exponents.py" --log {log:q} '
        "--settings {params.settings:q} "
        "--points {input.points:q} --output {output:q}"
