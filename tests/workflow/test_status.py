"""One command says what is done, what is stale, and which module or setting is the cause."""

import re
import subprocess
import sys

import pytest

from fimtiers.status import NOTHING_YET, known_studies


def status(checkout, *arguments):
    """Print the status and split it into its blocks."""
    done = subprocess.run(
        [sys.executable, "-m", "fimtiers.status", *arguments],
        cwd=checkout.root,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(checkout.root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    head, *blocks = done.stdout.strip().split("\n\n")
    blocks = [block for block in blocks if block != f"make: {NOTHING_YET}"]
    causes = dict(block.split(":\n", 1) for block in blocks)
    return head, {
        cause: [line.strip() for line in jobs.splitlines()] for cause, jobs in causes.items()
    }


def test_a_finished_study_is_said_to_be_done(clone):
    head, causes = status(clone, "--quiet", "rules", "--", "all")
    done, total = re.fullmatch(r"(\d+) of (\d+) jobs are done and up to date.", head).groups()
    assert done == total != "0"
    assert causes == {}


def test_a_reader_that_wants_the_first_lines_alone_breaks_nothing(untouched):
    printed = f"import fimtiers.status; fimtiers.status._print('→ line\\n' * {10**6})"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", '"$0" -c "$1" | head -1', sys.executable, printed],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(untouched.root / "src")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "→ line\n", "")


def test_a_fresh_checkout_has_no_results_yet(fresh):
    head, causes = status(fresh)
    assert head.startswith("0 of ")
    assert "build_states system=chain" in causes["no result yet"]


def test_after_the_smoke_study_it_is_the_one_spoken_of(fresh):
    fresh.write("config/smoke.yaml", "pathvars: {results: results/smoke, logs: logs/smoke}\n")
    (fresh.root / "results/smoke/states").mkdir(parents=True)
    head, causes = status(fresh)
    first, counts = head.split("\n", 1)
    assert re.fullmatch(r"make smoke: 0 of \d+ jobs are done and up to date\.", first)
    assert re.match(r"\d+ jobs would run: 6 aggregate_tiers, ", counts)
    assert "build_states system=chain" in causes["no result yet"]
    assert not any("sweep" in job for job in causes["no result yet"])


def test_an_edited_module_is_named_and_what_follows_comes_last(clone):
    clone.edit(
        "src/fimtiers/substrates/ising_chain.py",
        "chi = betas[:, None] * (1 - m**2)",
        "chi = 2 * betas[:, None] * (1 - m**2)",
    )
    _, causes = status(clone)
    cause = "fimtiers.substrates.ising_chain:fisher_diagonal changed"
    assert list(causes) == [cause, "follows from the above"]
    assert causes[cause] == ["extract_fisher system=chain", "measure_convergence system=chain"]
    assert "aggregate_tiers system=chain" in causes["follows from the above"]


@pytest.mark.parametrize(
    ("old", "new", "cause", "job"),
    [
        ("sites: 8,", "sites: 9,", "chain: sites 8 → 9", "build_states system=chain"),
        (
            "[0, 1]\n    settings: {size",
            "[0]\n    settings: {size",
            "matrix: seeds [0, 1] → [0]",
            "build_states system=matrix",
        ),
        ("[4, 8]", "[4, 8, 16]", "net: point width=16 is new", "gather_states system=net"),
        (
            "steps: 50",
            "steps: 51",
            "net: steps 50 → 51 at width=8",
            "build_swept_state system=net point=width=8",
        ),
        (
            "confidence: 0.95",
            "confidence: 0.9",
            "confidence 0.95 → 0.9",
            "estimate_intervals panel=published",
        ),
    ],
)
def test_a_changed_setting_is_named_with_both_values(clone, old, new, cause, job):
    clone.edit("config/config.yaml", old, new)
    _, causes = status(clone)
    assert job in causes[cause]


def test_another_version_of_a_package_is_named(clone):
    metadata = clone.root / "src" / "scikit_learn-999.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 999\n")
    _, causes = status(clone)
    (cause,) = (cause for cause in causes if cause.startswith("package sklearn"))
    assert cause.endswith("→ 999")
    assert causes[cause] == [
        "classify_held_out panel=corrected",
        "classify_held_out panel=published",
    ]


def test_results_without_a_record_are_said_to_be_of_unknown_origin(clone):
    for record in (clone.root / ".snakemake/metadata").iterdir():
        record.unlink()
    head, _ = status(clone)
    assert "results without a record in .snakemake/metadata" in head


def test_the_studies_spoken_of_are_those_with_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("systems: {}\n")
    assert known_studies() == {"make": []}
    (tmp_path / "config/smoke.yaml").write_text("pathvars: {results: results/smoke}\n")
    assert known_studies() == {"make": []}
    (tmp_path / "results/smoke/tiers").mkdir(parents=True)
    assert list(known_studies()) == ["make smoke"]
    assert known_studies()["make smoke"][-2:] == ["--", "panel"]
    (tmp_path / "results/smoke/statistics/sweeps").mkdir(parents=True)
    assert known_studies()["make smoke"][-3:] == ["--", "panel", "mechanism"]
    (tmp_path / "results/states").mkdir()
    assert list(known_studies()) == ["make", "make smoke"]
