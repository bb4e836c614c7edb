"""How many examples each case gets, from the profile of Hypothesis."""

from hypothesis import HealthCheck, settings

PER_CASE = 8
"""One case gets an eighth of the examples of a profile: cases are many."""

examples = settings(
    max_examples=max(1, settings.default.max_examples // PER_CASE),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""Decorates each test of the suite."""
