# Fisher diagonals of the states.
#
# Requires: <results>/states/{system}.nc, its own or that of the system it names (`states_of`)
# Gives:    <results>/fisher/{system}.nc, one group per point, and
#           <results>/convergence/{system}.nc, tier ratios at several probe counts.


rule extract_fisher:
    input:
        states=states_of,
    output:
        "<results>/fisher/{system}.nc",
    log:
        "<logs>/extract_fisher/{system}.log",
    wildcard_constraints:
        system=names(STUDY.systems),
    conda:
        environment
    resources:
        mem_mb=memory,
        runtime=runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).job(),
        code=substrate_code("extract_fisher.py", "fisher_diagonal"),
    shell:
        'python "$FIMTIERS_SCRIPTS/extract_fisher.py" --log {log:q} '
        "--settings {params.settings:q} --states {input.states:q} --output {output:q}"


rule measure_convergence:
    input:
        states=states_of,
    output:
        "<results>/convergence/{system}.nc",
    log:
        "<logs>/measure_convergence/{system}.log",
    wildcard_constraints:
        system=names(
            name for name, system in STUDY.systems.items() if system.probe_counts
        ),
    conda:
        environment
    resources:
        mem_mb=memory,
        runtime=runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).job(
            probe_counts=system_of(wildcards).probe_counts,
            ratio_rule=system_of(wildcards).ratio_rule,
        ),
        code=substrate_code("measure_convergence.py", "fisher_diagonal"),
    shell:
        'python "$FIMTIERS_SCRIPTS/measure_convergence.py" --log {log:q} '
        "--settings {params.settings:q} --states {input.states:q} --output {output:q}"
