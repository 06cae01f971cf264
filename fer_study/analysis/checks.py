"""Decide the checks of a claim from records: one function a kind, each giving a ``Finding``."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from . import claim_rows, factorial, report, verdicts
from .evidence import Evidence
from .measurements import NUMBER, POINTS, SHARE, unit_of
from .metrics import MISSING, Estimate
from .verdicts import Effect


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        word, limits: as of ``verdicts``, and what limits it: ``at our scale, one seed``.
        reported, measured: in the same ``unit``: ``%`` and ``points`` are printed a hundred times
            as large as they stand here.
        seeds: how many runs of a system are behind it, 0 where none is.
        evidence: keys of records.
        detectable: the smallest effect that the data could have found, else NaN.
        of: the part of the claim that it is about.
        shown_as: how its measured number is printed, ``{}`` in its place.
        needs, command: what would settle an open check.
    """

    word: str
    limits: str = ""
    reported: tuple[float, ...] = ()
    measured: Estimate = MISSING
    seeds: int = 0
    evidence: tuple[str, ...] = ()
    detectable: float = math.nan
    unit: str = ""
    of: str = ""
    needs: str = ""
    command: str = ""
    shown_as: str = "{}"

    @property
    def full_word(self) -> str:
        """The word after what limits it."""
        return f"{self.limits}: {self.word}" if self.limits else self.word


def decide(check: claim_rows.Check, evidence: Evidence, kind: str) -> Finding:
    """Decide a check from the records.

    Args:
        kind: of the claim, as the claims table has it: of a behaviour the words are other than of a
            count.
    """
    if isinstance(check, claim_rows.Formula):
        return check_formula(check, evidence, kind)._replace(of=check.of)
    found = DECIDE[type(check)](check, evidence)
    return found._replace(of="; ".join(filter(None, (check.of, found.of))))


def tolerance_of(metric: str) -> float:
    """How far from a reported value a measured one still counts as met."""
    return verdicts.TOLERANCE_OF_LOSS if "loss" in metric else verdicts.TOLERANCE


def printed_unit(metric: str, difference: bool = False) -> str:
    """The unit of a measurement, or of a difference of two."""
    return {SHARE: "points" if difference else "%", POINTS: "points", NUMBER: ""}[unit_of(metric)]


def check_number(check: claim_rows.Number, evidence: Evidence) -> Finding:
    """Hold a reported number against the runs of one system."""
    rows, spread = evidence.seeds_and_spread(check.system, check.metric, check)
    values, unit = list(rows["value"]), printed_unit(check.metric)
    word = verdicts.judge_number(values, spread, check.reported, tolerance_of(check.metric))
    measured = verdicts.interval(values, spread) if values else MISSING
    return Finding(
        word,
        reported=(check.reported,),
        measured=measured,
        seeds=len(values),
        evidence=tuple(rows["key"]),
        unit=unit,
    )


def check_ordering(check: claim_rows.Ordering, evidence: Evidence) -> Finding:
    """Hold every system against the next."""
    pairs = list(zip(check.systems[:-1], check.systems[1:], strict=True))
    found = [evidence.compare(a, b, check.metric, check.metric, check) for a, b in pairs]
    names = [" minus ".join(map(report.title, pair)) for pair in pairs]
    return _judged(found, printed_unit(check.metric, difference=True), names=names)


def check_effect(check: claim_rows.Effects, evidence: Evidence) -> Finding:
    """Hold arms against their base in every metric, in the direction that is stated."""
    pairs = [(arm, metric) for arm in check.arms for metric in check.metrics]
    found = [evidence.compare(a, check.base, m, check.base_metric or m, check) for a, m in pairs]
    unit = printed_unit(check.metrics[0], difference=True)
    if check.direction in ("higher", "lower"):
        return _judged(found, unit, 1 if check.direction == "higher" else -1, _named(pairs))
    effect, keys = found[0]
    word = verdicts.judge_no_gain(effect, tolerance_of(check.metrics[0]))
    if check.direction == "tested" and word != verdicts.OPEN:
        word = verdicts.TESTED if effect.df else verdicts.UNDECIDED  # by what do runs scatter?
    return _of_effect(word, effect, effect.n, keys, unit)


def check_main_effect(check: claim_rows.MainEffect, evidence: Evidence) -> Finding:
    """Judge what a part adds over the runs of a half factorial; the direction is that of having it.

    Each run counts once, with the seed that the factorial gives it.
    """
    listed, values, keys = claim_rows.factorial_of(check.stage), [], []
    for name, seed in zip(listed.systems(), listed.seeds, strict=True):
        runs = evidence.runs[(evidence.runs["name"] == name) & (evidence.runs["seed"] == seed)]
        rows = evidence.measured(runs, check.metric, check)
        values += list(rows["value"]) or [math.nan]
        keys += list(rows["key"])
    if len(keys) < len(values):
        lacking = f"{check.metric} of {len(values) - len(keys)} of {len(values)} runs"
        command = f"fer-study train {claim_rows.EDITION} {check.stage}"
        needs = f"{lacking} of the half factorial of {check.stage}"
        return Finding(verdicts.OPEN, needs=needs, command=command)
    effects = factorial.Factorial(listed.cells(), values).main_effects()
    adjusted = verdicts.holm([effect.p_value for effect in effects.values()])
    effect = effects[check.factor]
    significant = adjusted[list(effects).index(check.factor)] < 1 - verdicts.LEVEL
    stated = (effect.value > 0) == (check.direction == "higher")
    word = verdicts.CONFIRMED if stated else verdicts.CONTRADICTED
    if check.direction == "tested":
        word = verdicts.TESTED
    elif not significant:
        word = verdicts.UNDECIDED
    return _of_effect(word, effect, effect.n, keys, printed_unit(check.metric, difference=True))


WORDS = (("recall_", "recall of "), ("_f1", " F1"), ("lost[", "accuracy lost["), ("_", " "))
"""What stands in a metric's name, and what is printed in its place, in this order."""


def _named(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Name pairs of a system and a measurement by what differs between them."""
    systems, metrics = ({pair[place] for pair in pairs} for place in (0, 1))
    names = []
    for system, metric in pairs:
        parts = [report.title(system)] if len(systems) > 1 else []
        if len(metrics) > 1:
            words = functools.reduce(lambda text, pair: text.replace(*pair), WORDS, metric)
            parts.append(re.sub(r"\[(.*)\]", r" (\1)", words))
        names.append(", ".join(parts))
    return names


def _judged(
    found: Sequence[tuple[Effect, list[str]]],
    unit: str,
    sign: int = 1,
    names: Sequence[str] = (),
    least: int | None = None,
) -> Finding:
    """Find, in a family of effects of a stated sign, the one that speaks for it least.

    Args:
        names: of the effects; where there are several, the finding names the one.
        least: its place, where the effects are not on one scale; None: the smallest of them.
    """
    towards = [effect._replace(value=sign * effect.value) for effect, _ in found]
    if least is None:
        least = min(range(len(found)), key=lambda place: towards[place].value)
    effect, keys = found[least][0], dict.fromkeys(key for _, keys in found for key in keys)
    word, seeds = verdicts.judge_effects(towards), min(one.n for one in towards)
    told = len(found) > 1 and names[least] and word != verdicts.OPEN
    of = f"of {len(found)}, least in favour: {names[least]}" if told else ""
    return _of_effect(word, effect, seeds, keys, unit)._replace(of=of)


def _of_effect(word: str, effect: Effect, seeds: int, keys: Iterable[str], unit: str) -> Finding:
    """The finding on an effect; a difference of two shares is no larger than 1."""
    measured = effect.estimate()
    if unit == "points":
        measured = measured._replace(low=max(measured.low, -1.0), high=min(measured.high, 1.0))
    return Finding(
        word,
        measured=measured,
        seeds=seeds,
        evidence=tuple(keys),
        detectable=effect.detectable,
        unit=unit,
    )


def check_bound(check: claim_rows.Bound, evidence: Evidence) -> Finding:
    """Hold every metric of every system against a limit, as a family.

    Printed is the one that keeps it least by its mean; the word is that of the whole family, so
    another one, whose seeds scatter less, can contradict it.
    """
    sign, limit = (1, check.above) if check.below is None else (-1, check.below)
    found, measured = [], []
    pairs = [(name, metric) for name in check.systems for metric in check.metrics]
    for name, metric in pairs:
        rows, spread = evidence.seeds_and_spread(name, metric, check)
        away = verdicts.distance(list(rows["value"]), spread, limit)
        found.append((away._replace(value=sign * away.value), list(rows["key"])))
        measured.append(verdicts.interval(list(rows["value"]), spread) if len(rows) else MISSING)
    least = min(range(len(found)), key=lambda place: sign * measured[place].value)
    names = _named(pairs)
    judged = _judged(found, printed_unit(check.metrics[0]), names=names, least=least)
    if check.tested and judged.word != verdicts.OPEN and all(effect.df for effect, _ in found):
        judged = judged._replace(word=verdicts.TESTED)
    reported = (limit,) if check.stated else ()
    return judged._replace(reported=reported, measured=measured[least], detectable=math.nan)


def check_range(check: claim_rows.Range, evidence: Evidence) -> Finding:
    """Hold each measured number against a stated range; different words stand beside each other."""
    reported, found = (check.low, check.high), [evidence.number_at(p) for p in check.measured]
    if None in found:
        return Finding(verdicts.OPEN, reported=reported)
    words = dict.fromkeys(verdicts.judge_range(number, *reported) for number, _ in found)
    keys, unit = dict.fromkeys(record.key for _, record in found), "%" if check.high <= 1 else ""
    return Finding(
        "; ".join(words), reported=reported, measured=found[0][0], evidence=tuple(keys), unit=unit
    )


def check_count(check: claim_rows.Count, evidence: Evidence) -> Finding:
    """Hold stated counts against records; shown is the first that differs, else the first."""
    found = [evidence.number_at(place) for place in check.measured]
    if None in found:
        return Finding(verdicts.OPEN, reported=tuple(check.reported))
    pairs = zip((number.value for number, _ in found), check.reported, strict=True)
    same = [round(n, check.digits) == r or abs(n - r) <= check.tolerance * abs(r) for n, r in pairs]
    word, place = (verdicts.RIGHT, 0) if all(same) else (check.otherwise, same.index(False))
    keys = dict.fromkeys(record.key for _, record in found)
    named = " ".join(check.measured[place].split("/")[-2:])
    several = f"{named}, one of {len(found)} numbers"
    return Finding(
        word,
        reported=(check.reported[place],),
        measured=found[place][0],
        evidence=tuple(keys),
        of=several if len(found) > 1 else "",
    )


def check_formula(check: claim_rows.Formula, evidence: Evidence, kind: str) -> Finding:
    """Evaluate whether arithmetic holds, on typed numbers and on records."""
    found = {name: evidence.look_up(place) for name, place in check.measured.items()}
    reported = tuple(check.values.values())
    if None in found.values():
        return Finding(verdicts.OPEN, reported=reported)
    values = {
        name: value["value"] if isinstance(value, dict) and "value" in value else value
        for name, (value, _) in found.items()
    }
    holds, shown = check.evaluate(values)
    words = verdicts.RIGHT, verdicts.WRONG
    if kind in ("behaviour", "ordering"):
        words = verdicts.CONFIRMED, verdicts.CONTRADICTED
    if isinstance(check, claim_rows.OwnSource):
        words = words[0], verdicts.REFUTED
    word = words[0 if holds else 1] if check.holds else verdicts.TESTED
    keys = dict.fromkeys(record.key for _, record in found.values())
    measured = MISSING._replace(value=shown)
    return Finding(
        word, reported=reported, measured=measured, evidence=tuple(keys), shown_as=check.shown_as
    )


def check_own_test_set(check: claim_rows.OwnTestSet, evidence: Evidence) -> Finding:
    """Judge whether the test set of the source could tell the steps it reports.

    Undecided as soon as one step is too small.
    """
    steps, reported = np.diff(check.values), tuple(check.values)
    least = verdicts.resolvable_difference(check.images, check.discordance)
    smallest = float(steps[np.abs(steps).argmin()])
    if abs(smallest) >= least:
        needs = "runs of ours, for its test set could tell these steps"
        return Finding(verdicts.OPEN, reported=reported, needs=needs)
    measured = MISSING._replace(value=smallest)
    return Finding(
        verdicts.UNRESOLVED, reported=reported, measured=measured, detectable=least, unit="points"
    )


def check_open(check: claim_rows.Open, evidence: Evidence) -> Finding:
    """Say what is missing."""
    return Finding(verdicts.OPEN, needs=check.needs, command=check.command)


DECIDE: dict[type[claim_rows.Check], Callable[..., Finding]] = {
    claim_rows.Number: check_number,
    claim_rows.Ordering: check_ordering,
    claim_rows.Effects: check_effect,
    claim_rows.MainEffect: check_main_effect,
    claim_rows.Bound: check_bound,
    claim_rows.Range: check_range,
    claim_rows.Count: check_count,
    claim_rows.OwnTestSet: check_own_test_set,
    claim_rows.Open: check_open,
}
