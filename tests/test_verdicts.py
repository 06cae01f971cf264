"""Every branch of the rule for verdicts, and its boundaries."""

from __future__ import annotations

import pytest

from fer_study.analysis import verdicts
from fer_study.analysis.metrics import Estimate

NAN = float("nan")


def estimate(low: float, high: float, value: float | None = None) -> Estimate:
    return Estimate((low + high) / 2 if value is None else value, NAN, 3, low, high)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (estimate(0.49, 0.51), "reproduced"),
        (estimate(0.10, 0.90), "reproduced"),  # a wide interval meets nearly everything
        (estimate(0.625, 0.7), "reproduced"),  # touches the upper end: 0.5 + 0.125
        (estimate(0.626, 0.7), "exceeded"),
        (estimate(0.3, 0.375), "reproduced"),  # touches the lower end
        (estimate(0.3, 0.374), "below"),
        (estimate(NAN, NAN, value=0.6), "reproduced"),  # no interval: the value itself
        (estimate(NAN, NAN, value=0.63), "exceeded"),
        (estimate(NAN, NAN, value=0.37), "below"),
        (estimate(NAN, NAN, value=NAN), "open"),
        (estimate(0.4, 0.6, value=NAN), "open"),
    ],
)
def test_number(measured, verdict):
    assert verdicts.number(measured, 0.5, tolerance=0.125) == verdict


@pytest.mark.parametrize(
    ("seeds", "as_claimed", "verdict"),
    [(3, True, "reproduced"), (2, True, "two seeds: reproduced"), (1, True, "one seed: reproduced"),
     (1, False, "at our scale, one seed: reproduced"), (5, False, "at our scale: reproduced")],
)  # fmt: skip
def test_what_limits_a_verdict_stands_in_front(seeds, as_claimed, verdict):
    measured = estimate(0.49, 0.51)._replace(n=seeds)
    assert verdicts.number(measured, 0.5, as_claimed) == verdict
    assert verdicts.ordering([measured, estimate(0.1, 0.2)], as_claimed) == verdict
    assert verdicts.number(measured._replace(value=NAN), 0.5, as_claimed) == "open"


def test_a_number_is_met_within_two_points():
    assert verdicts.TOLERANCE == 0.02
    assert verdicts.number(estimate(0.56, 0.601), 0.6218) == "below"
    assert verdicts.number(estimate(0.56, 0.602), 0.6218) == "reproduced"
    assert verdicts.number(estimate(0.6417, 0.66), 0.6218) == "reproduced"
    assert verdicts.number(estimate(0.642, 0.66), 0.6218) == "exceeded"


ABOVE, BELOW, ACROSS = estimate(0.01, 0.03), estimate(-0.03, -0.01), estimate(-0.01, 0.02)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([ABOVE], "reproduced"),
        ([ABOVE, ABOVE], "reproduced"),
        ([ABOVE, ACROSS], "undecided"),
        ([ACROSS, ACROSS], "undecided"),
        ([ABOVE, BELOW], "contradicted"),
        ([ACROSS, BELOW], "contradicted"),
        ([estimate(0.0, 0.02)], "undecided"),  # zero itself is not excluded
        ([estimate(-0.02, 0.0)], "undecided"),
        ([estimate(NAN, NAN, value=0.1)], "undecided"),  # one seed, no interval
        ([ABOVE, estimate(NAN, NAN, value=NAN)], "open"),
        ([BELOW, estimate(NAN, NAN, value=NAN)], "open"),
    ],
)
def test_ordering(differences, verdict):
    assert verdicts.ordering(differences) == verdict
