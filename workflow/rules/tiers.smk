# Tier statistics of the Fisher diagonals.
#
# Requires: <results>/fisher/{system}.nc and, for θ²F, <results>/states/{system}.nc
# Gives:    <results>/tiers/{system}.nc, every statistic by point and seed.


rule aggregate_tiers:
    input:
        fisher="<results>/fisher/{system}.nc",
        states=states_of,
    output:
        "<results>/tiers/{system}.nc",
    log:
        "<logs>/aggregate_tiers/{system}.log",
    wildcard_constraints:
        system=names(STUDY.systems),
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).job(
            ratio_rule=system_of(wildcards).ratio_rule
        ),
        code=code_of("aggregate_tiers.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/aggregate_tiers.py" --log {log:q} '
        "--settings {params.settings:q} --fisher {input.fisher:q} --states {input.states:q} "
        "--output {output:q}"
