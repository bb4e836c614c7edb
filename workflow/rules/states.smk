# States: the parameters of each system, initialised or trained.
#
# Requires: the study.
# Gives:    <results>/states/{system}.nc, one group per point.

OWN_STATES = [name for name, system in STUDY.systems.items() if not system.states_of]
SPLIT = [name for name in OWN_STATES if STUDY.systems[name].split]
WHOLE = [name for name in OWN_STATES if name not in SPLIT]


rule build_states:
    output:
        "<results>/states/{system}.nc",
    log:
        "<logs>/build_states/{system}.log",
    wildcard_constraints:
        system=names(WHOLE),
    conda:
        environment
    resources:
        mem_mb=memory,
        runtime=runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).state_job(),
        code=substrate_code("build_states.py", "build_state"),
    shell:
        'python "$FIMTIERS_SCRIPTS/build_states.py" --log {log:q} '
        "--settings {params.settings:q} --output {output:q}"


rule build_state:
    output:
        "<results>/states/{system}/{point}.nc",
    log:
        "<logs>/build_state/{system}/{point}.log",
    wildcard_constraints:
        system=names(SPLIT),
    priority: 10
    conda:
        environment
    resources:
        mem_mb=memory,
        runtime=runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).state_job([wildcards.point]),
        code=substrate_code("build_states.py", "build_state"),
    shell:
        'python "$FIMTIERS_SCRIPTS/build_states.py" --log {log:q} '
        "--settings {params.settings:q} --output {output:q}"


rule gather_states:
    input:
        lambda wildcards: collect(
            "<results>/states/{system}/{point}.nc",
            system=wildcards.system,
            point=[point for point, _ in system_of(wildcards).points()],
        ),
    output:
        "<results>/states/{system}.nc",
    log:
        "<logs>/gather_states/{system}.log",
    wildcard_constraints:
        system=names(SPLIT),
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).state_job(),
        code=code_of("gather_states.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/gather_states.py" --log {log:q} '
        "--settings {params.settings:q} --states {input:q} --output {output:q}"
