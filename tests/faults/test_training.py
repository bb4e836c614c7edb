"""A training that diverges stops its job, and the last lines say which seed, where and why."""

import pytest

pytestmark = pytest.mark.slow

LAST_LINES = 15


def test_a_diverging_training_names_seed_step_and_setting_in_the_last_lines(fresh):
    fresh.edit("config/config.yaml", "steps: 50", "steps: 50, learning_rate: 1.0e+6")
    target = "results/states/net/width=4.nc"
    output = fresh.failing_snakemake("--cores", "1", target)
    cause = "\n".join(output.splitlines()[-LAST_LINES:])
    assert "training of seed 0 diverged: the loss is inf at step 3 of 50" in cause
    assert "lower learning_rate (1000000.0)" in cause
    assert "log: logs/build_state/net/width=4.log" in cause
    assert not (fresh.root / target).exists()
    log = (fresh.root / "logs/build_state/net/width=4.log").read_text()
    assert "FloatingPointError" in log.splitlines()[-1]
