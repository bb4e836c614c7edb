"""States and diagonals shared between checkouts, where ``SNAKEMAKE_OUTPUT_CACHE`` is set."""

import stat
from dataclasses import replace

import pytest

TARGETS = ["results/fisher/chain.nc", "results/fisher/matrix.nc"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first(untouched, cache, tmp_path_factory):
    """A checkout that has filled the cache with two systems."""
    checkout = untouched.copy(tmp_path_factory.mktemp("first") / "repository")
    checkout.environment["SNAKEMAKE_OUTPUT_CACHE"] = str(cache)
    checkout.run(*TARGETS)
    return checkout


@pytest.fixture
def second(untouched, first, tmp_path):
    """Another checkout with the same cache, in which nothing has run."""
    checkout = untouched.copy(tmp_path / "second")
    checkout.environment.update(first.environment)
    return checkout


def computed(checkout, *targets):
    """Names of the targets that a run computed; the others are links into the cache, with no log.

    The logs of one checkout tell, since a job that is taken from the cache writes none.
    """
    checkout.run(*targets)
    logs = (checkout.root / "logs").rglob("*.log")
    return sorted(f"{log.parent.name}/{log.stem}" for log in logs if log.stat().st_size)


def test_without_the_switch_nothing_is_cached(finished):
    assert not any(path.is_symlink() for path in (finished.root / "results").rglob("*"))


def test_cached_are_the_states_and_the_diagonals(first, cache):
    assert len(list(cache.iterdir())) == 4
    for system in ("chain", "matrix"):
        assert (first.root / f"results/states/{system}.nc").is_symlink()
        assert (first.root / f"results/fisher/{system}.nc").is_symlink()


def test_a_private_umask_makes_no_private_cache(untouched, tmp_path):
    shared = tmp_path / "new" / "cache"
    checkout = replace(
        untouched,
        environment={"SNAKEMAKE_OUTPUT_CACHE": str(shared)},
        launcher=("bash", "-c", 'umask 077 && exec "$@"', "bash"),
    )
    checkout.snakemake("--dry-run", TARGETS[0])
    assert stat.S_IMODE(shared.stat().st_mode) == 0o777
    assert stat.S_IMODE(shared.parent.stat().st_mode) == 0o755
    shared.chmod(0o750)
    checkout.snakemake("--dry-run", TARGETS[0])
    assert stat.S_IMODE(shared.stat().st_mode) == 0o750  # one that is there is left as it is


def test_another_checkout_computes_nothing_that_is_cached(first, second):
    assert computed(second, *TARGETS) == []
    assert second.results() == first.results()
    assert not second.planned(*TARGETS)


def test_an_edited_substrate_is_never_taken_from_the_cache(second):
    second.edit(
        "src/fimtiers/substrates/ising_chain.py",
        "chi = betas[:, None] * (1 - m**2)",
        "chi = 2 * betas[:, None] * (1 - m**2)",
    )
    assert computed(second, *TARGETS) == ["extract_fisher/chain"]


def test_an_edited_helper_is_never_taken_from_the_cache(second):
    path = "src/fimtiers/records.py"
    second.write(path, second.read(path) + "\n\nADDED = 1\n")
    assert len(computed(second, *TARGETS)) == 4


def test_another_setting_is_never_taken_from_the_cache(second):
    second.edit("config/config.yaml", "{sites: 8, probes: 4}", "{sites: 4, probes: 8}")
    assert computed(second, *TARGETS) == ["build_states/chain", "extract_fisher/chain"]


def test_other_seeds_are_never_taken_from_the_cache(second):
    second.edit(
        "config/config.yaml",
        "seeds: [0, 1]\n    settings: {size: 20}",
        "seeds: [0, 2]\n    settings: {size: 20}",
    )
    assert computed(second, *TARGETS) == ["build_states/matrix", "extract_fisher/matrix"]


def test_another_version_of_a_package_is_never_taken_from_the_cache(second, tmp_path):
    metadata = tmp_path / "site" / "xarray-999.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: xarray\nVersion: 999\n")
    second.environment["PYTHONPATH"] = str(tmp_path / "site")
    assert len(computed(second, TARGETS[0])) == 2


def test_a_comment_is_taken_from_the_cache(second):
    second.edit(
        "src/fimtiers/substrates/ising_chain.py",
        "def mean_field_magnetisation(",
        "# A comment.\ndef mean_field_magnetisation(",
    )
    assert computed(second, *TARGETS) == []


def test_two_systems_with_the_same_settings_do_not_share_an_entry(second):
    """The name of a system is in its file, so equal numbers are not equal files."""
    twin = "  twin:\n    substrate: ising_chain\n    group: rest\n    seeds: [0, 1]\n"
    settings = "    settings: {sites: 8, probes: 4}\n"
    second.edit("config/config.yaml", "\npanel:\n", f"{twin}{settings}\npanel:\n")
    assert computed(second, "results/fisher/twin.nc") == [
        "build_states/twin",
        "extract_fisher/twin",
    ]


def test_the_points_of_a_split_sweep_do_not_share_an_entry(second, cache):
    before = set(cache.iterdir())
    second.run("results/states/net/width=4.nc", "results/states/net/width=8.nc")
    assert len(set(cache.iterdir()) - before) == 2


def test_a_run_that_replaces_a_cached_result_leaves_the_cache_as_it_is(first, second, cache):
    before = {path: path.read_bytes() for path in cache.iterdir()}
    second.run(TARGETS[0])
    del second.environment["SNAKEMAKE_OUTPUT_CACHE"]
    second.edit("config/config.yaml", "{sites: 8, probes: 4}", "{sites: 9, probes: 4}")
    second.run(TARGETS[0])
    assert not (second.root / TARGETS[0]).is_symlink()
    assert {path: path.read_bytes() for path in before} == before
