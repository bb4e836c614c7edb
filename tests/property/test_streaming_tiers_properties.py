import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fimtiers.streaming_tiers import summarise_stream
from fimtiers.tiers import summarise

value = st.one_of(
    st.just(0.0),
    st.floats(0, float(np.finfo(np.float32).max), width=32),
    st.floats(0.5, 2.0, width=32),
)
diagonals = st.integers(1, 250).flatmap(lambda n: arrays(np.float32, n, elements=value))


TOLERANCE = {"log_mean": (1e-12, 2e-8), "log_variance": (1e-7, 1e-7)}


@settings(max_examples=40)
@given(diagonals, st.integers(1, 60))
def test_streamed_statistics_are_those_of_the_sorted_values_for_any_float32(values, chunk):
    pieces = [values[i : i + chunk] for i in range(0, len(values), chunk)]
    streamed, expected = summarise_stream(lambda: pieces), summarise(values)
    compared = streamed.keys() & expected.keys() - {"gini", "log_skewness", "log_excess_kurtosis"}
    for name in compared:
        relative, absolute = TOLERANCE.get(name, (1e-12, 0))
        np.testing.assert_allclose(
            streamed[name], expected[name], rtol=relative, atol=absolute, err_msg=name
        )
    assert abs(streamed["gini"] - expected["gini"]) <= streamed["gini_error_bound"] + 1e-12
