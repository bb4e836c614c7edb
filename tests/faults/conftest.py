"""A check that disturbed runs end with the results of an undisturbed one."""

import pytest


@pytest.fixture(scope="session")
def same_as_finished(finished):
    """Give a check that results are some of the undisturbed ones, byte for byte."""
    expected = finished.results()

    def check(results):
        assert results
        assert [path for path in results if results[path] != expected.get(path)] == []

    return check
