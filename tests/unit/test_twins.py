"""Points that differ in exact zeros alone are measured once, and come out as if measured twice."""

import numpy as np

from fimtiers import twins
from fimtiers.partial_probes import with_histograms
from fimtiers.substrates import resnet, transformer

SEEDS = np.array([0, 1])


def settings(substrate, **changed):
    return {name: schema["default"] for name, schema in substrate.SETTINGS.items()} | changed


def measured(substrate, points, monkeypatch):
    calls = []
    original = substrate.fisher_diagonal
    states = {name: substrate.build_state(changed, SEEDS) for name, changed in points}
    expected = {name: with_histograms(original(changed, states[name])) for name, changed in points}
    monkeypatch.setattr(
        substrate, "fisher_diagonal", lambda *given: calls.append(given) or original(*given)
    )
    found = twins.fisher_diagonals(substrate, points, states)
    assert list(found) == list(expected)
    for name, diagonal in found.items():
        np.testing.assert_array_equal(diagonal.fim, expected[name].fim)
        assert diagonal.diagnostics.keys() == expected[name].diagnostics.keys()
        for key, (_, values) in diagonal.diagnostics.items():
            np.testing.assert_array_equal(values, expected[name].diagnostics[key][1])
    return len(calls)


def test_twins_share_a_measurement(monkeypatch):
    points = [
        (f"{zeros} {depth}", settings(transformer, probes=8, depth=depth, exact_zeros=zeros))
        for zeros in (True, False)
        for depth in (1, 2)
    ]
    assert measured(transformer, points, monkeypatch) == 2


def test_points_that_differ_otherwise_do_not(monkeypatch):
    points = [
        (f"{batch}", settings(resnet, width=8, depth=1, probes=8, batch=batch, exact_zeros=True))
        for batch in (2, 3)
    ]
    assert measured(resnet, points, monkeypatch) == 2


def test_a_setting_of_the_same_name_without_a_role_is_like_any_other(monkeypatch):
    monkeypatch.delattr(transformer, "WITHOUT_EFFECT")
    monkeypatch.setattr(transformer, "fisher_diagonal", lambda given, state: made.append(given))
    monkeypatch.setattr(twins, "with_histograms", lambda diagonal: diagonal)
    made = []
    points = [(f"{z}", settings(transformer, exact_zeros=z)) for z in (True, False)]
    twins.fisher_diagonals(transformer, points, {"True": None, "False": None})
    assert [given["exact_zeros"] for given in made] == [True, False]
