"""Keep the ledger: a ``Verdict`` on every claim, decided anew from the records each time."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pandas as pd

from .. import store
from ..data import official
from ..settings.checkout import other_code
from ..settings.errors import InputError
from ..settings.experiment import DataConfig, GanConfig, RunConfig, TransferConfig
from ..store import Record
from . import claims, places, verdicts
from .checks import Finding, decide
from .claim_rows import (
    PATH,
    Check,
    Claim,
    Effects,
    OnRuns,
    Ordering,
    System,
    config_of,
    read_rows,
    recipe_of,
)
from .evidence import CROWD, RUN_COLUMNS, Evidence, repetition, seedless
from .measurements import OF_VIEWS
from .metrics import Estimate

EDITION = "fer2013"
"""The edition whose records decide: the claims are about FER2013."""


class Verdict(NamedTuple):
    """The verdict on a claim.

    Attributes:
        word: the words of its parts where they differ, after ``in part`` where one is open.
        reported, measured, seeds: of the first part that is decided.
        scale: what is smaller or other than claimed; empty: as claimed.
        hangs_on: a choice of ours without which the verdict would be another one; empty: none.
        evidence: keys of records.
        quote, where, page: as its row has them.
    """

    claim: str
    word: str
    reported: tuple[float, ...]
    measured: Estimate
    seeds: int
    scale: str
    hangs_on: str
    evidence: tuple[str, ...]
    page: str
    quote: str
    where: str
    parts: tuple[Finding, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing of it is decided."""
        return self.word == verdicts.OPEN

    @property
    def category(self) -> str:
        """Its word alone, without what limits it, for counting: ``mixed`` where parts differ, also
        where one of them is open."""
        words = {part.word for part in self.parts}
        return verdicts.MIXED if len(words) > 1 else words.pop()

    @property
    def group(self) -> str:
        """What it comes to: one of ``verdicts.GROUPS``."""
        return verdicts.group(part.word for part in self.parts)


def ledger(names: Iterable[str] | None = None) -> list[Verdict]:
    """Judge all claims, in the order of the claims table, or those that are named.

    For example, what is contradicted: ``[v.claim for v in ledger() if "contradicted" in v.word]``.

    Raises:
        InputError: ``params/claims.yaml`` is wrong.
    """
    systems, rows = read_rows()
    table, records = claims.load(), {record.key: record for record in store.records(usable)}
    known = places.KEYS | {CROWD: places.crowd_key(EDITION)}
    homes = {home: records[key] for home, key in known.items() if key in records}
    stages = {n: f"{s.stage} {s.parameters}".strip() for n, s in systems.items()}
    evidence = Evidence(EDITION, runs_of(systems, records.values()), homes, stages)
    asked = table.index if names is None else names
    return [judge(name, rows[name], evidence, table.loc[name, "kind"]) for name in asked]


def usable(record: Record) -> bool:
    """Say whether verdicts may rest on a record; in place of a local one that is not, the published
    one of its key is used.

    No local record of code that no commit holds is: nobody could make it again.
    """
    if not record.published and str(record.env.get("commit", "")).endswith("+"):
        return False
    # What a network costs is a statement about code, the one that is here. What a training showed
    # stays true of the network that its commit holds, and many published ones are of such.
    return isinstance(record.config, RunConfig | TransferConfig) or not other_code(record.env)


def records_of(verdicts: Iterable[Verdict]) -> list[Record]:
    """Find the records that verdicts rest on, each once."""
    keys = dict.fromkeys(key for verdict in verdicts for key in verdict.evidence)
    return [record for key in keys if (record := store.lookup(key, usable))]


def claims_of(page: str) -> list[str]:
    """Name the claims that a page is about, in the order of the claims table."""
    _, rows = read_rows()
    return [name for name in claims.load().index if rows[name].row.page == page]


def runs_of(systems: dict[str, System], records: Iterable[Record]) -> pd.DataFrame:
    """Find the records of every system (``RUN_COLUMNS``), of any seed, listed by a stage or not.

    Raises:
        InputError: a system changes what its base does not have.
    """
    data = DataConfig(dataset=EDITION, fingerprint=official.FINGERPRINTS[EDITION])
    made = [record for record in records if isinstance(record.config, RunConfig | GanConfig)]
    teachers = {record.key: seedless(record.config) for record in made}
    trained = [record for record in made if isinstance(record.config, RunConfig)]
    seeds: dict[str, list[Record]] = {}
    for record in trained:
        seeds.setdefault(seedless(record.config, teachers), []).append(record)
    rows = []
    for name in systems:
        mark, recipe = seedless(config_of(name, systems, data)), recipe_of(name, systems)
        rows += [[name, recipe, mark, repetition(r.config), r.key, r] for r in seeds.get(mark, [])]
    return pd.DataFrame(rows, columns=RUN_COLUMNS)


def judge(name: str, claim: Claim, evidence: Evidence, kind: str) -> Verdict:
    """Judge one claim; ``kind`` is what the claims table calls it.

    Raises:
        InputError: a record does not have what its row names, or its arithmetic cannot be done.
    """
    try:
        parts = tuple(_found(check, claim, evidence, kind) for check in claim.checks)
    except InputError as error:
        raise InputError(f"{PATH}: {name}: {error}") from None
    decided = [part for part in parts if part.word != verdicts.OPEN]
    first = decided[0] if decided else parts[0]
    word = "; ".join(dict.fromkeys(part.full_word for part in decided)) or verdicts.OPEN
    if 0 < len(decided) < len(parts):
        word = f"in part: {word}"
    row, keys = claim.row, tuple(dict.fromkeys(key for part in parts for key in part.evidence))
    return Verdict(
        claim=name,
        word=word,
        reported=first.reported,
        measured=first.measured,
        seeds=first.seeds,
        scale=row.at_our_scale if keys else "",
        hangs_on=row.hangs_on if keys else "",
        evidence=keys,
        page=row.page,
        quote=row.quote,
        where=row.where,
        parts=parts,
    )


def _found(check: Check, claim: Claim, evidence: Evidence, kind: str) -> Finding:
    """The finding of a check, with what limits it, or what it needs."""
    found = decide(check, evidence, kind)
    if found.word == verdicts.OPEN and not found.needs:
        return found._replace(**_missing(check, evidence, claim.row.page))
    if found.word == verdicts.OPEN:
        return found
    scaled = bool(claim.row.at_our_scale and found.evidence)
    mixed = isinstance(check, Effects | Ordering) and evidence.in_two_precisions(found.evidence)
    judged = found.word in (verdicts.CONFIRMED, verdicts.CONTRADICTED)
    return found._replace(
        word=verdicts.UNDECIDED if mixed and judged else found.word,
        limits=verdicts.limits(found.seeds, not scaled, mixed),
    )


def _missing(check: Check, evidence: Evidence, page: str) -> dict[str, str]:
    """What an open check waits for, and the command that makes it.

    Args:
        page: of the claim, whose stage sees changed images: for these its runs need their weights.
    """
    if isinstance(check, OnRuns):
        there = set(evidence.runs["name"])
        named = [name for name in check.systems_named() if name not in there]
        if not named:
            asked = {metric.split("[")[0] for _, metric in check.measurements()}
            command = f"fer-study train {EDITION} {page} --again" if asked & OF_VIEWS else ""
            return {"needs": "; ".join(_undefined(check, evidence)), "command": command}
        stages = dict.fromkeys(evidence.stages[name] for name in named)
        commands = [f"fer-study train {EDITION} {stage}" for stage in stages]
        return {"needs": f"records of {', '.join(named)}", "command": " && ".join(commands)}
    lacking = check.measured if isinstance(check.measured, list) else list(check.measured.values())
    stage = "01_dataset_audit" if lacking[0].startswith("audit") else "gallery"
    command = f"fer-study execute {EDITION} {stage}"
    return {"needs": f"a record that holds {', '.join(lacking)}", "command": command}


def _undefined(check: OnRuns, evidence: Evidence) -> Iterator[str]:
    """Say what the records that are there do not hold, for a check that is open all the same."""
    where = f"{check.subset} in view {check.view}, {check.protocol} split"
    for name, metric in check.measurements():
        rows, _ = evidence.seeds_and_spread(name, metric, check)
        if rows.empty:
            yield f"{metric} on {where}, which no record of {name} holds"


def shown(number: float, unit: str, digits: int = 1) -> str:
    """Print a number: a hundred times as large where it has a unit, which is left out.

    A count has its thousands, any other number four digits; below a thousandth it is rounded to
    four behind the point.
    """
    if math.isnan(number):
        return ""
    if unit:
        return f"{100 * number:.{digits}f}"
    if float(number).is_integer() and abs(number) >= 10:
        return f"{number:,.0f}"
    return f"{number:.4f}" if 0 < abs(number) < 1e-3 else f"{number:.4g}"


def _digits(found: Finding) -> int:
    """How many digits behind the point: of steps that a source prints as many as it does, and one
    more where an end of an interval that leaves out zero would be printed as zero."""
    low, high = found.measured.low, found.measured.high
    hidden = low * high > 0 and min(abs(low), abs(high)) < 0.0005
    return 2 if found.word == verdicts.UNRESOLVED or (hidden and found.unit) else 1


def shown_measured(found: Finding) -> str:
    """Print what was measured, with its interval where it has one: ``62.3 [60.7, 64.0] %``, or in
    the words of its check: ``97.87 ms an image``."""
    measured = found.measured
    if math.isnan(measured.value):
        return ""
    digits = _digits(found)
    ends = measured.value, measured.low, measured.high
    value, low, high = (shown(x, found.unit, digits) for x in ends)
    bounds = f" [{low}, {high}]" if low != high else ""
    return found.shown_as.replace("{}", f"{value}{bounds} {found.unit}".rstrip())


def shown_word(found: Finding) -> str:
    """Print the word of a finding, and by how much it is off or what it would have found."""
    unit = "points" if found.unit else ""
    if verdicts.UNDECIDED in found.word and not math.isnan(found.detectable):
        least = shown(found.detectable, unit, _digits(found))
        return f"{found.full_word}, would find {least} {unit}".rstrip()
    if len(found.reported) == 1 and (verdicts.HIGHER in found.word or verdicts.LOWER in found.word):
        off = abs(found.measured.value - found.reported[0])
        return f"{found.full_word} by {shown(off, unit)} {unit}".rstrip()
    return found.full_word


def shown_reported(found: Finding, stated: str) -> str:
    """Print what was reported, in numbers, or as the claims table states it."""
    digits = 2 if found.unit == "%" else _digits(found)
    numbers = ", ".join(shown(number, found.unit, digits) for number in found.reported)
    text = (f"{numbers} %" if found.unit else numbers) if numbers else stated
    return textwrap.shorten(text, 40, placeholder=" ...") or "-"


def table(found: Iterable[Verdict]) -> pd.DataFrame:
    """Table verdicts as printed: a row a claim, and one more for each further part of it."""
    columns = ["id", "verdict", "reported", "measured", "seeds", "page", "of"]
    rows, stated = [], claims.load()["value"]
    for verdict in found:
        parts = [part for part in verdict.parts if part.word != verdicts.OPEN] or verdict.parts[:1]
        partly = "in part: " if verdict.word.startswith("in part") else ""
        for place, part in enumerate(parts):
            rows.append({
                "id": "" if place else verdict.claim,
                "verdict": partly + shown_word(part),
                "reported": shown_reported(part, "" if place else stated[verdict.claim]),
                "measured": shown_measured(part) or "-",
                "seeds": part.seeds or "-",
                "page": verdict.page,
                "of": part.of,
            })  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def open_table(found: Iterable[Verdict]) -> pd.DataFrame:
    """Table what is missing for every claim or part that is open, and what would settle it."""
    rows = [
        [verdict.claim, part.of or "-", part.needs, part.command or "none yet"]
        for verdict in found
        for part in verdict.parts
        if part.word == verdicts.OPEN
    ]
    return pd.DataFrame(rows, columns=["id", "of", "missing", "command"])


def render(rows: pd.DataFrame) -> str:
    """Print a table as lines, its columns aligned."""
    cells = [list(rows.columns), *rows.astype(str).to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in cells)


def as_dict(verdict: Verdict) -> dict[str, object]:
    """Write a verdict for JSON, with its claim and its parts; None for what is not known."""
    parts = [part._asdict() | {"measured": part.measured._asdict()} for part in verdict.parts]
    found = verdict._asdict() | {"measured": verdict.measured._asdict(), "parts": parts}
    return {"id": found.pop("claim"), **claims.load().loc[verdict.claim], **_plain(found)}


def _plain(value: object) -> object:
    """Anything made of dicts, tuples and numbers, with None for NaN."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
