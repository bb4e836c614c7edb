"""Labels that are moved apart stay in order, inside, and as far apart as asked."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fimtiers.plotting.layout import spread

GAP = 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_spread_keeps_the_order_the_gap_and_the_limits(positions):
    moved = spread(positions, GAP, 0, 1)
    assert (np.diff(moved[np.argsort(positions, kind="stable")]) >= GAP - 1e-9).all()
    assert moved.min() >= -1e-9
    assert moved.max() <= 1 + 1e-9
