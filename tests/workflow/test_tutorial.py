"""What the tutorial prints is what its reader gets."""

import doctest
import re
import shutil

import pytest
from announced_jobs import with_followers
from checkout import ROOT

from fimtiers.status import NOTHING_YET, PlannedJob, counts_by_rule

PAGE = (ROOT / "docs/tutorial.md").read_text()
STUDY = ("--configfile", "config/config.yaml", "config/smoke.yaml")
STATUS = re.compile(
    r"^make smoke: (\d+) of (\d+) jobs are done and up to date\.\n(.*?)\n\n(.*?)^```", re.M | re.S
)
STEPS = re.compile(r"^(\d+) of \1 steps \(100%\) done$", re.MULTILINE)
CHANGED = "build_states system=ising_chain"


@pytest.fixture(scope="module")
def reader(untouched, tmp_path_factory):
    """Give a checkout with the default study."""
    checkout = untouched.copy(tmp_path_factory.mktemp("reader") / "repository")
    shutil.copy2(ROOT / "config/config.yaml", checkout.root / "config/config.yaml")
    return checkout


@pytest.mark.slow
def test_the_session_prints_what_is_printed(reader, monkeypatch):
    reader.run(*STUDY, "--", "results/smoke/tiers/ising_chain.nc")
    monkeypatch.chdir(reader.root)
    session = "\n".join(re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(session, {}, "tutorial", None, None)
    printed: list[str] = []
    assert examples.examples
    assert doctest.DocTestRunner().run(examples, out=printed.append).failed == 0, "".join(printed)


@pytest.mark.slow
def test_the_status_lists_the_jobs_that_follow_from_the_edit(reader):
    announced = reader.snakemake("--dry-run", "--forceall", "panel", *STUDY)
    jobs = set(with_followers(announced, CHANGED))
    total = len(re.findall(r"^(?:local)?rule ", announced, re.MULTILINE)) - 1
    first, second = STATUS.findall(PAGE)
    assert set(re.findall(r"^  (\w.*)$", first[3], re.MULTILINE)) == jobs
    planned = [PlannedJob(*job.partition(" ")[::2], "") for job in jobs]
    assert first[2] == second[2] == counts_by_rule(planned)
    for printed in (first[3], second[3]):
        assert printed.endswith(f"\n\nmake: {NOTHING_YET}\n")
    assert first[:2] == second[:2] == (str(total - len(jobs)), str(total))
    assert STEPS.findall(PAGE) == [str(total + 1), str(len(jobs) + 1)]


def test_the_edits_start_from_the_study_as_it_is():
    (before,) = set(re.findall(r"^-(  ising_chain: \{probe_counts.*)$", PAGE, re.MULTILINE))
    assert f"\n{before}\n" in (ROOT / "config/smoke.yaml").read_text()
