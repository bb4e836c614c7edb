# The mechanism: what grows along a sweep, by which law, and what theory says about it.
#
# Requires: <results>/states/{system}.nc, <results>/fisher/{system}.nc, <results>/tiers/{system}.nc
#           of every swept system, and the published runs and fits
# Gives:    <results>/statistics/sweeps/*.csv, and <results>/tables/sweeps_*.csv and
#           weight_draws.csv, these as HTML too


# Most of the two jobs of a system that is initialised and not trained would be the start of torch:
# one job makes its states and its Fisher diagonals. That takes seconds, so neither is cached.
INITIALISED = [name for name in SWEPT_OR_CHECKED if name in WHOLE]


rule measure_initialised:
    output:
        "<results>/states/{system}.nc",
        "<results>/fisher/{system}.nc",
    log:
        "<logs>/measure_initialised/{system}.log",
    wildcard_constraints:
        system=names(INITIALISED),
    priority: -10  # the panel is what a reader waits for
    conda:
        environment
    resources:
        mem_mb=memory,
        runtime=runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).job(),
        code=substrate_code("measure_initialised.py", "build_state", "fisher_diagonal"),
    shell:
        'python "$FIMTIERS_SCRIPTS/measure_initialised.py" --log {log:q} '
        "--settings {params.settings:q} --output {output:q}"


use rule build_state as build_swept_state with:
    wildcard_constraints:
        system=names(name for name in SWEPT if name in SPLIT),
    priority: -5


ruleorder: measure_initialised > build_states
ruleorder: measure_initialised > extract_fisher
ruleorder: build_swept_state > build_state


rule describe_sweep:
    input:
        states=states_of,
        fisher="<results>/fisher/{system}.nc",
        tiers="<results>/tiers/{system}.nc",
    output:
        "<results>/statistics/sweeps/{system}.csv",
        "<results>/statistics/sweeps/{system}_layers.csv",
        "<results>/statistics/sweeps/{system}_levels.csv",
    log:
        "<logs>/describe_sweep/{system}.log",
    wildcard_constraints:
        system=names(SWEPT),
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: system_of(wildcards).job(),
        code=code_of("describe_sweep.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/describe_sweep.py" --log {log:q} '
        "--settings {params.settings:q} --states {input.states:q} --fisher {input.fisher:q} "
        "--tiers {input.tiers:q} --output {output:q}"


rule evaluate_checks:
    input:
        pooling=file_of_check("pooling"),
        spectrum=file_of_check("spectrum"),
        observables=file_of_check("observables"),
        states=file_of_check("observables", stage="states"),
    output:
        "<results>/statistics/sweeps/checks.csv",
    log:
        "<logs>/evaluate_checks.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: check_settings(),
        code=code_of("evaluate_checks.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/evaluate_checks.py" --log {log:q} '
        "--settings {params.settings:q} --pooling {input.pooling:q} "
        "--spectrum {input.spectrum:q} --observables {input.observables:q} "
        "--states {input.states:q} --output {output:q}"


rule sample_weight_draws:
    output:
        "<results>/tables/weight_draws.csv",
        report(
            "<results>/tables/weight_draws.html",
            caption="../report/weight_draws.rst",
            category="Mechanism",
            labels={"table": "Variance over draws of the weights"},
        ),
    log:
        "<logs>/sample_weight_draws.log",
    priority: -10
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=as_json(STUDY.config.get("mechanism", {}).get("weight_draws", {})),
        code=code_of("sample_weight_draws.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/sample_weight_draws.py" --log {log:q} '
        "--settings {params.settings:q} --output {output:q}"


rule tabulate_sweeps:
    input:
        runs=collect("<results>/statistics/sweeps/{system}.csv", system=SWEPT),
        checks=["<results>/statistics/sweeps/checks.csv"] if CHECKS else [],
        published_runs=RESOURCES / "published/depth_sweeps.csv",
        published_means=RESOURCES / "published/activation_training_means.csv",
        published_fits=RESOURCES / "published/depth_fits.csv",
    output:
        runs="<results>/tables/sweeps_runs.csv",
        means="<results>/tables/sweeps_training_means.csv",
        means_page=report(
            "<results>/tables/sweeps_training_means.html",
            caption="../report/sweeps_training_means.rst",
            category="Mechanism",
            labels={"table": "Activations, published and measured means"},
        ),
        per_seed="<results>/tables/sweeps_per_seed.csv",
        per_seed_page=report(
            "<results>/tables/sweeps_per_seed.html",
            caption="../report/sweeps_per_seed.rst",
            category="Mechanism",
            labels={"table": "Runs, published and measured"},
        ),
        agreement="<results>/tables/sweeps_agreement.csv",
        agreement_page=report(
            "<results>/tables/sweeps_agreement.html",
            caption="../report/sweeps_agreement.rst",
            category="Mechanism",
            labels={"table": "Largest difference of every sweep"},
        ),
        published_fits="<results>/tables/sweeps_published_fits.csv",
        published_fits_page=report(
            "<results>/tables/sweeps_published_fits.html",
            caption="../report/sweeps_published_fits.rst",
            category="Mechanism",
            labels={"table": "Published fits"},
        ),
        fits="<results>/tables/sweeps_fits.csv",
        fits_page=report(
            "<results>/tables/sweeps_fits.html",
            caption="../report/sweeps_fits.rst",
            category="Mechanism",
            labels={"table": "Competing laws"},
        ),
        probe_limits="<results>/tables/sweeps_probe_limits.csv",
        probe_limits_page=report(
            "<results>/tables/sweeps_probe_limits.html",
            caption="../report/sweeps_probe_limits.rst",
            category="Mechanism",
            labels={"table": "Tier ratios for infinitely many probes"},
        ),
    log:
        "<logs>/tabulate_sweeps.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: sweep_settings(SWEEPS),
        code=code_of("tabulate_sweeps.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/tabulate_sweeps.py" --log {log:q} '
        "--settings {params.settings:q} --runs {input.runs:q} {input.checks:q} "
        "--published_means {input.published_means:q} "
        "--published_runs {input.published_runs:q} --published_fits {input.published_fits:q} "
        "--output {output:q}"


rule judge_sweeps:
    input:
        runs="<results>/tables/sweeps_runs.csv",
        fits="<results>/tables/sweeps_fits.csv",
    output:
        laws="<results>/tables/sweeps_laws.csv",
        laws_page=report(
            "<results>/tables/sweeps_laws.html",
            caption="../report/sweeps_laws.rst",
            category="Mechanism",
            labels={"table": "Which law describes each sweep"},
        ),
        intervals="<results>/tables/sweeps_intervals.csv",
        intervals_page=report(
            "<results>/tables/sweeps_intervals.html",
            caption="../report/sweeps_intervals.rst",
            category="Mechanism",
            labels={"table": "Tier ratios with intervals"},
        ),
        factors="<results>/tables/sweeps_factors.csv",
        factors_page=report(
            "<results>/tables/sweeps_factors.html",
            caption="../report/sweeps_factors.rst",
            category="Mechanism",
            labels={"table": "Factors along sweeps and by training"},
        ),
        predictions="<results>/tables/sweeps_predictions.csv",
        predictions_page=report(
            "<results>/tables/sweeps_predictions.html",
            caption="../report/sweeps_predictions.rst",
            category="Mechanism",
            labels={"table": "Errors of predictions by sweep"},
        ),
    log:
        "<logs>/judge_sweeps.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: judge_settings(),
        code=code_of("judge_sweeps.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/judge_sweeps.py" --log {log:q} '
        "--settings {params.settings:q} --runs {input.runs:q} --fits {input.fits:q} "
        "--output {output:q}"


rule measure_drift:
    input:
        levels=collect(
            "<results>/statistics/sweeps/{system}_levels.csv",
            system=dict.fromkeys(entry["system"] for entry in DRIFTING.values()),
        ),
    output:
        levels="<results>/tables/sweeps_levels.csv",
        drift="<results>/tables/sweeps_drift.csv",
        drift_page=report(
            "<results>/tables/sweeps_drift.html",
            caption="../report/sweeps_drift.rst",
            category="Mechanism",
            labels={"table": "Plateau and drift of the layers"},
        ),
        steps="<results>/tables/sweeps_steps.csv",
        steps_page=report(
            "<results>/tables/sweeps_steps.html",
            caption="../report/sweeps_steps.rst",
            category="Mechanism",
            labels={"table": "Steps from layer to layer"},
        ),
    log:
        "<logs>/measure_drift.log",
    conda:
        "../envs/statistics.yaml"
    resources:
        mem_mb=small_memory,
        runtime=small_runtime,
    params:
        settings=lambda wildcards: drift_settings(),
        code=code_of("measure_drift.py"),
    shell:
        'python "$FIMTIERS_SCRIPTS/measure_drift.py" --log {log:q} '
        "--settings {params.settings:q} --levels {input.levels:q} --output {output:q}"
