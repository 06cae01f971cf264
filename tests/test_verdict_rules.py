"""The rule of the ledger on arrays: against values by hand, scipy and statsmodels, and how often it errs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from fer_study.analysis import verdicts
from fer_study.analysis.metrics import Estimate
from fer_study.analysis.verdicts import Effect, Spread

NAN = float("nan")


def test_spread_is_pooled_by_degrees_of_freedom():
    spread = verdicts.pooled_spread([[1, 2, 3], [2, 4], [7]])
    assert spread == Spread(pytest.approx(math.sqrt((2 + 2) / 3)), 3, False)
    assert verdicts.pooled_spread([[1], [5]]).df == 0 and math.isnan(verdicts.pooled_spread([]).sd)


def test_spread_of_shares_is_in_units_of_their_binomial_one():
    spread = verdicts.pooled_spread([[0.4, 0.6], [0.1, 0.3], [0.0, 0.0]], share=True)
    assert spread == Spread(pytest.approx(math.sqrt((0.02 / 0.25 + 0.02 / 0.16) / 2)), 2, True)
    assert spread.at(0.5) == pytest.approx(spread.sd / 2) and spread.at(0.0) == spread.at(0.005) > 0


def test_intervals_are_those_of_student():
    values, spread = [0.3, 0.5, 0.9], Spread(0.2, 8)
    low, high = scipy.stats.t.interval(0.90, 8, np.mean(values), 0.2 / math.sqrt(3))
    assert verdicts.interval(values, spread, 0.90) == pytest.approx((np.mean(values), 0.2, 3, low, high))
    low, high = scipy.stats.t.interval(0.95, 8, np.mean(values), 0.2 * math.sqrt(1 + 1 / 3))
    assert verdicts.interval(values, spread, one_more=True)[3:] == pytest.approx((low, high))
    assert math.isnan(verdicts.interval(values, Spread(NAN, 0)).low)


def test_intervals_of_shares_stay_between_0_and_1():
    found = verdicts.interval([0.02, 0.06, 0.10], Spread(0.3, 2, share=True))
    assert 0 < found.low < 0.06 < found.high < 1
    half = scipy.stats.t.ppf(0.975, 2) * 0.3 / math.sqrt(0.06 * 0.94) / math.sqrt(3)
    assert scipy.special.logit(found.high) == pytest.approx(scipy.special.logit(0.06) + half)


def test_a_share_that_no_run_had_has_an_interval_all_the_same():
    found = verdicts.interval([0.0, 0.0, 0.0], Spread(0.3, 8, share=True))
    assert found.low == 0 and 0.02 < found.high < 0.05
    assert verdicts.interval([1.0, 1.0], Spread(0.3, 8, share=True)).high == 1
    assert verdicts.judge_number([0.0, 0.0, 0.0], Spread(0.2, 8, share=True), 0.03) == "consistent"


@pytest.mark.parametrize(
    ("values", "sd", "word"),
    [
        ([0.60, 0.61, 0.60], 0.005, "reproduced"),
        ([0.61, 0.62, 0.61], 0.014, "consistent"),  # one more run could give it
        ([0.60, 0.61, 0.60], 0.05, "undecided"),  # more noise: it could give almost anything
        ([0.64, 0.64, 0.64], 0.005, "higher than reported"),
        ([0.63, 0.63, 0.63], 0.014, "consistent"),
        ([0.64, 0.64, 0.64], 0.05, "undecided"),
        ([0.80, 0.80, 0.80], 0.05, "higher than reported"),  # whatever the noise
        ([0.50, 0.51, 0.50], 0.01, "lower than reported"),
        ([0.60], 0.005, "reproduced"),
        ([0.60], NAN, "undecided"),  # no spread is known
        ([], 0.01, "open"),
    ],
)
def test_a_number(values, sd, word):
    spread = Spread(sd, 0 if math.isnan(sd) else 8)
    assert verdicts.judge_number(values, spread, 0.60) == word


def test_reproduced_is_two_one_sided_tests():
    rng = np.random.default_rng(0)
    for _ in range(300):
        values = rng.normal(rng.uniform(-0.03, 0.03), 0.01, 4)
        sides = [scipy.stats.ttest_1samp(values, end, alternative=side).pvalue for end, side in
                 ((-0.02, "greater"), (0.02, "less"))]  # fmt: skip
        word = verdicts.judge_number(values, verdicts.pooled_spread([values]), 0.0)
        assert (word == "reproduced") == (max(sides) < 0.05)


def simulated_words(truth: float, sd: float, draws: int = 1500) -> list[str]:
    """Verdicts on a reported 0 of four systems with three seeds each, the first of which is judged."""
    rng = np.random.default_rng(1)
    runs = rng.normal(truth, sd, (draws, 4, 3))
    return [verdicts.judge_number(list(one[0]), verdicts.pooled_spread(one), 0.0) for one in runs]


def test_noise_does_not_earn_reproduced_and_consistent_only_nearby():
    """The first rule: 9 % at a spread of half a point, 63 % at 1.2, 81 % at 1.9, of a truth four points off."""
    met = [simulated_words(0.04, sd).count("consistent") / 1500 for sd in (0.005, 0.012, 0.019, 0.03, 0.06)]
    assert max(met) < 0.15 and max(met[3:]) < 0.03
    wrong = [simulated_words(0.04, sd).count("reproduced") / 1500 for sd in (0.005, 0.012, 0.019, 0.03, 0.06)]
    assert max(wrong) <= 0.01
    right = [simulated_words(0.0, sd).count("reproduced") / 1500 for sd in (0.005, 0.012, 0.019, 0.03)]
    assert right == sorted(right, reverse=True) and right[0] > 0.95 and right[-1] < 0.2
    nearer = [verdicts.judge_number([0.0] * 3, verdicts.Spread(sd, 8), 0.03) for sd in (0.005, 0.012, 0.03)]
    assert nearer == ["lower than reported", "consistent", "undecided"]  # one more run gives 3 points more, or anything


def test_a_source_that_ran_the_same_once_is_called_off_in_one_case_of_twenty():
    rng = np.random.default_rng(2)
    off = 0
    for one in rng.normal(0, 0.03, (1500, 4, 3)):
        word = verdicts.judge_number(list(one[0]), verdicts.pooled_spread(one), rng.normal(0, 0.03))
        off += word in ("higher than reported", "lower than reported")
    assert 0.03 < off / 1500 < 0.07


def test_holm_by_hand_and_as_statsmodels_has_it():
    assert verdicts.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert list(verdicts.holm([NAN, 0.01])) == [1.0, 0.02]
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for p_values in np.random.default_rng(3).uniform(0, 0.2, (20, 5)):
        assert verdicts.holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1])


def compared(table: dict[str, dict[int, float]], a: str, b: str) -> Effect:
    """``compare_systems`` of ``{system: {seed: value}}``."""
    rows = [(name, seed, value) for name, values in table.items() for seed, value in values.items()]
    return verdicts.compare_systems(*zip(*rows, strict=True), a, b)


def test_a_system_is_not_compared_with_itself():
    with pytest.raises(ValueError, match="'a' minus itself"):
        compared({"a": {0: 0.5, 1: 0.6}, "b": {0: 0.4}}, "a", "a")


def test_two_systems_with_the_same_seeds_are_a_paired_t_test():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 5))
    found = compared({"a": dict(enumerate(a)), "b": dict(enumerate(b))}, "a", "b")
    test = scipy.stats.ttest_rel(a, b)
    assert (found.value, found.p_value, found.df, found.n) == pytest.approx((test.statistic * found.se, test.pvalue, 4, 5))
    assert found.estimate()[3:] == pytest.approx(tuple(test.confidence_interval()))


def test_every_seed_of_the_base_counts():
    """The arm ran at seed 0 only, where every system is 2 above its mean: that is the seed's doing, not the arm's."""
    table = {"base": {0: 12.0, 1: 9.0, 2: 9.0}, "other": {0: 22.0, 1: 19.0, 2: 19.0}, "arm": {0: 15.0}}
    found = compared(table, "arm", "base")
    assert found.value == pytest.approx(15 - 12) and found.df == 2 and found.n == 1
    table["other"] = {0: 19.0, 1: 20.0, 2: 21.0}  # seed 0 is half a point above the rest by both: 12 -> 10.5 expected
    assert compared(table, "arm", "base").value == pytest.approx(15 - 10.5)


def test_one_seed_each_is_judged_by_the_band_of_the_recipe():
    rng = np.random.default_rng(5)
    wrong = 0
    for noise in rng.normal(0, 1, (1000, 14)):
        seeds = rng.normal(0, 3, 3)
        table = {name: {s: seeds[s] + noise[3 * i + s] for s in range(3)} for i, name in enumerate("wxyz")}
        table |= {"a": {0: seeds[0] + noise[12]}, "b": {0: seeds[0] + noise[13]}}
        found = compared(table, "a", "b")
        assert found.df == 6
        wrong += found.p_value < 0.05
    assert 0.03 < wrong / 1000 < 0.07


def test_without_a_repetition_nothing_is_known():
    found = compared({"a": {0: 1.0}, "b": {0: 5.0}}, "a", "b")
    assert found.value == -4 and math.isnan(found.p_value) and math.isnan(found.estimate().low)
    assert verdicts.judge_effects([found]) == "undecided"
    assert math.isnan(compared({"a": {0: 1.0}}, "a", "b").value)


def test_seeds_that_link_nothing_are_left_out():
    table = {"a": {0: 1.0, 1: 3.0}, "b": {2: 5.0, 3: 7.0}}
    assert compared(table, "a", "b") == Effect(-4.0, pytest.approx(math.sqrt(2 * (1 / 2 + 1 / 2))), 2, 2)


def test_systems_apart_are_welchs_test():
    a, b = [1.0, 2.0, 4.0], [0.0, 0.5, 0.1, 0.3]
    found = verdicts.compare_apart(a, verdicts.pooled_spread([a]), b, verdicts.pooled_spread([b]))
    test = scipy.stats.ttest_ind(a, b, equal_var=False)
    assert (found.value / found.se, found.df, found.p_value) == pytest.approx((test.statistic, test.df, test.pvalue))
    exact = verdicts.compare_apart(a, Spread(1.0, 8), [0.5], Spread(0.0, 1))
    assert (exact.se, exact.df) == pytest.approx((1 / math.sqrt(3), 8))


FOR, AGAINST, WEAK = Effect(0.03, 0.005, 8, 3), Effect(-0.03, 0.005, 8, 3), Effect(0.01, 0.0035, 8, 3)


@pytest.mark.parametrize(
    ("effects", "word"),
    [
        ([FOR], "confirmed"),
        ([WEAK], "confirmed"),  # p = .021
        ([AGAINST], "contradicted"),
        ([FOR, AGAINST], "contradicted"),
        ([FOR, WEAK], "confirmed"),
        ([WEAK, WEAK, WEAK], "undecided"),  # three at .021: Holm's .063
        ([FOR, Effect(NAN, NAN, 0, 0)], "open"),
        ([Effect(0.03, NAN, 0, 1)], "undecided"),
        ([], "open"),
    ],
)
def test_effects(effects, word):
    assert verdicts.judge_effects(effects) == word


def test_every_seed_alike_is_certain():
    assert Effect(0.1, 0.0, 4, 3).p_value == 0 and Effect(0.0, 0.0, 4, 3).p_value == 1


def test_runs_that_do_not_scatter_do_not_say_what_they_would_miss():
    assert math.isnan(Effect(0.0, 0.0, 4, 1).detectable) and Effect(0.0, 1e-3, 4, 1).detectable > 0


def test_the_smallest_effect_that_would_have_been_found_is_found_in_four_of_five_cases():
    effect, rng = Effect(0.0, 1.0, 8, 3), np.random.default_rng(6)
    t = (rng.normal(effect.detectable, 1, 4000)) / np.sqrt(rng.chisquare(8, 4000) / 8)
    assert (t > scipy.stats.t.ppf(0.975, 8)).mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("effect", "word"),
    [
        (Effect(0.03, 0.01, 8, 3), "contradicted"),
        (Effect(0.0, 0.005, 8, 3), "confirmed"),
        (Effect(0.0, 0.02, 8, 3), "undecided"),
        (Effect(0.0, NAN, 0, 1), "undecided"),
        (Effect(NAN, NAN, 0, 0), "open"),
    ],
)
def test_no_gain(effect, word):
    assert verdicts.judge_no_gain(effect) == word


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.5, 0.55, "lower than reported"), (0.58, 0.62, "undecided"), (0.6, 0.7, "right"), (0.71, 0.8, "higher than reported"),
     (NAN, NAN, "right")],
)  # fmt: skip
def test_a_range(low, high, word):
    assert verdicts.judge_range(Estimate(0.65, NAN, 0, low, high), 0.6, 0.7) == word
    assert verdicts.judge_range(Estimate(NAN, NAN, 0, low, high), 0.6, 0.7) == "open"


def test_distance_from_a_limit_agrees_with_the_interval():
    values, spread = [0.60, 0.62, 0.66], Spread(0.05, 8, share=True)
    high = verdicts.interval(values, spread).high
    assert verdicts.distance(values, spread, high).p_value == pytest.approx(0.05)
    assert verdicts.distance(values, spread, 0.7).value < 0 < verdicts.distance(values, spread, 0.5).value


def test_what_a_test_set_can_tell():
    assert verdicts.resolvable_difference(3589) == pytest.approx(1.95996 * math.sqrt(0.05 / 3589), rel=1e-5)


@pytest.mark.parametrize(
    ("num_seeds", "as_claimed", "limited"),
    [(3, True, ""), (1, True, "one seed"), (2, False, "at our scale, two seeds"), (5, False, "at our scale")],
)
def test_what_limits_a_verdict(num_seeds, as_claimed, limited):
    assert verdicts.limits(num_seeds, as_claimed) == limited
    assert verdicts.limits(num_seeds, as_claimed, mixed=True).endswith("in two precisions")


@pytest.mark.parametrize(("counts", "said"), [([1], "1 seed"), ([3, 3], "3 seeds"), ([1, 3], "1-3 seeds")])
def test_seeds_are_counted_in_words(counts, said):
    assert verdicts.seeds(counts) == said


@pytest.mark.parametrize(
    ("words", "group"),
    [
        (["right"], "holds"),
        (["confirmed", "tested"], "holds"),  # what was tested has no truth
        (["right", "open"], "holds in part"),
        (["right", "wrong"], "holds and fails"),
        (["right", "wrong", "open"], "holds and fails"),
        (["right", "undecided"], "holds in part"),
        (["wrong", "open"], "fails in part"),
        (["lower than reported", "undecided"], "fails in part"),
        (["lower than reported", "wrong"], "does not hold"),
        (["contradicted", "tested"], "does not hold"),
        (["tested", "open"], "answered"),
        (["undecided", "open"], "undecided"),
        (["no reading found"], "undecided"),
        (["open", "open"], "open"),
    ],
)
def test_what_the_parts_of_a_claim_come_to(words, group):
    assert verdicts.group(words) == verdicts.group(reversed(words)) == group
    assert group in verdicts.GROUPS


def test_an_unknown_word_is_no_group():
    with pytest.raises(ValueError, match="'half right'"):
        verdicts.group(["right", "half right"])
