"""The tables of the audit page, from the summary that an audit stored (``AuditReport.summary``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from ...data.labels import EIGHT, VOTE_NAMES

SPLITS = ("train", "validation", "test", "validation+test", "all")


def classes_of(audit: dict) -> list[str]:
    """The classes of the set, in order."""
    return _present(audit["balance"]["all"], EIGHT)


def reading(audit: dict) -> str:
    """What was found, in one paragraph."""
    exact, test = audit["exact"], leaked(audit, "test in train+validation", "exact")
    near = leaked(audit, "test in train+validation", "near")
    lines = [
        f"**{audit['name']}** (fingerprint `{audit['fingerprint']}`): {audit['images']:,} images. "
        f"{exact['groups']:,} groups of pixel-identical images hold {exact['images']:,} images; {exact['crosses']:,} groups "
        f"cross splits and {exact['conflicting']:,} carry labels that contradict each other. "
        f"**{test['with_copy']:,} of {test['images']:,} test images ({100 * test['share']:.2f} %) have an exact copy in "
        f"train or validation**, {near['with_copy']:,} ({100 * near['share']:.2f} %) a near copy (correlation of at least "
        f"{audit['threshold']:g}). Blank images: {sum(audit['blank'].values())} with one grey level, "
        f"{sum(audit['nearly_blank'].values())} with almost one."
    ]
    if audit["agreement"]:
        every = audit["agreement"]["eight emotions"]["all"]
        lines.append(
            f"The label equals the crowd's majority in {100 * every['equal']:.1f} % of the {every['voted']:,} images that "
            f"have one, and got no vote at all in {100 * every['no_vote']:.1f} % of the images."
        )
    return "\n\n".join(lines)


def leaked(audit: dict, relation: str, kind: str, name: str = "all") -> dict:
    """One row of the leakage table."""
    return next(r for r in audit["leakage"] if (r["relation"], r["kind"], r["class"]) == (relation, kind, name))


def numbers(audit: dict) -> dict[str, str]:
    """What other pages quote."""
    test, near = (leaked(audit, "test in train+validation", kind) for kind in ("exact", "near"))
    return {
        "images": f"{audit['images']:,}", "duplicate_groups": f"{audit['exact']['groups']:,}",
        "test_with_copy": f"{test['with_copy']:,}", "test_with_copy_share": f"{100 * test['share']:.2f} %",
        "test_with_near_copy": f"{near['with_copy']:,}", "test_images": f"{test['images']:,}",
    }  # fmt: skip


def balance(audit: dict) -> pd.DataFrame:
    """Images by split (rows) and class (columns, with ``total``)."""
    return pd.DataFrame(audit["balance"]).T.loc[list(SPLITS), [*classes_of(audit), "total"]].astype(int)


def counts(audit: dict) -> Styler:
    """``balance`` with thousands separators."""
    return balance(audit).style.format("{:,}")


def leakage(audit: dict) -> pd.DataFrame:
    """Copies over all classes: a row a relation, exact and near."""
    table = pd.DataFrame([r for r in audit["leakage"] if r["class"] == "all"])
    table["share"] = table["share"].map(_per_cent)
    columns = ["images", "with_copy", "share", "same_label", "all_same_label"]
    shown = table.set_index(["relation", "kind"])[columns]
    return shown.rename(columns={"with_copy": "with a copy", "same_label": "a copy with the same label",
                                 "all_same_label": "all copies with the same label"})  # fmt: skip


def leakage_by_class(audit: dict, relation: str, kind: str) -> tuple[pd.Series, list[str]]:
    """Share of each class with a copy, and texts such as ``118 of 416``."""
    classes = classes_of(audit)
    rows = [leaked(audit, relation, kind, name) for name in classes]
    shares = pd.Series([r["share"] for r in rows], index=classes, dtype=float)
    return shares, [f"{r['with_copy']:,} of {r['images']:,}" for r in rows]


def transitions(audit: dict, options: str = "eight emotions") -> pd.DataFrame:
    """Counts: label (rows) to the crowd's majority (columns)."""
    table = pd.DataFrame(audit["transitions"][options]).T
    return table.loc[classes_of(audit), _present(table.columns, VOTE_NAMES)].fillna(0).astype(int)


def agreement(audit: dict, options: str = "eight emotions") -> Styler:
    """Agreement of label and crowd by class, over the emotions that may win."""
    table = pd.DataFrame(audit["agreement"][options]).T.loc[[*classes_of(audit), "all"]]
    shares = table[["equal", "equal_strict", "equal_lenient", "no_vote", "tied"]].map(_per_cent, digits=1)
    shares.columns = ["equal to the majority", "... ties count as wrong", "... ties count as right", "label got no vote",
                      "majority tied"]  # fmt: skip
    counted = table[["images", "voted"]].astype(int)
    return pd.concat([counted, shares], axis=1).style.format("{:,}", subset=["images", "voted"])


def weights(audit: dict) -> Styler:
    """Class weights by formula, and how many of the printed ones each gives, rounded as they are, to two decimals."""
    classes = classes_of(audit)
    table = pd.DataFrame(audit["weights"]).T[classes]
    if "printed" in table.index:
        head, same = "equal to the printed, rounded to .01", np.isclose(table.round(2), table.loc["printed"])
        table[head] = [
            f"{row.sum()} of {len(row)}" + f" (not {classes[row.argmin()]})" * int(sum(~row) == 1) for row in same
        ]
        table.loc["printed", head] = ""
    return table.style.format("{:.2f}", subset=classes, na_rep="-")


def planted(audit: dict) -> pd.DataFrame:
    """How well the audit found what was planted: a row a fault."""
    table = pd.DataFrame(audit["truth"]).T.loc[["exact_copies", "near_copies", "blank"]]
    counted = table[["planted", "found"]].astype(int)
    shares = table[["precision", "recall"]].map(_per_cent)
    near = "near copies"
    if table.loc["near_copies", "planted"] and pd.isna(table.loc["near_copies", "recall"]):
        near = "near copies (all that were planted are exact, so there is no recall of others)"
    names = ["exact copies", near, "blank"]
    return pd.concat([counted, shares], axis=1).set_axis(names).rename_axis("fault")


def _per_cent(share: float | None, digits: int = 2) -> str:
    return "-" if pd.isna(share) else f"{100 * share:.{digits}f} %"


def _present(names: Sequence[str], order: Sequence[str]) -> list[str]:
    return [n for n in order if n in names]
