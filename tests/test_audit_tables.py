"""Tables of the audit page, from a summary that went through the store."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from fer_study import audit, store
from fer_study.book.pages import audit_tables
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import FER2013, VOTE_NAMES

COUNTS = {"train": 28, "validation": 7, "test": 14}


def small_set() -> FaceSet:
    """28 + 7 + 14 random images, each class equally often; 2 test images of 14 are copies, one with another label."""
    rng = np.random.default_rng(0)
    count = sum(COUNTS.values())
    images = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    labels = (np.arange(count) % 7).astype(np.int64)
    images[35] = images[0]  # test 0 (angry) of train 0 (angry)
    images[36] = images[2]  # test 1 (disgust) of train 2 (fear)
    images[1] = 128  # blank
    votes = np.zeros((count, len(VOTE_NAMES)), np.uint8)
    votes[np.arange(count), labels] = 10
    votes[3] = 0
    votes[3, VOTE_NAMES.index("contempt")] = 10  # a happy face that all ten call contempt
    split = np.repeat(list(COUNTS), list(COUNTS.values()))
    return FaceSet(images=images, labels=labels, split=split, votes=votes, name="tiny", ids=np.arange(count).astype(str))


def stored(summary: dict) -> dict:
    """As it comes back from ``audit.json``."""
    return json.loads(store.as_json(summary))


@pytest.fixture(scope="module")
def summary() -> dict:
    return stored(audit.summary(small_set()))


def test_classes_come_back_in_their_order(summary):
    assert list(summary["balance"]["train"]) != [*FER2013, "total"], "as stored, keys are sorted"
    assert list(audit_tables.balance(summary).columns) == [*FER2013, "total"]
    assert list(audit_tables.weights(summary).data.columns) == list(FER2013)
    assert list(audit_tables.agreement(summary).data.index) == [*FER2013, "all"]
    assert list(audit_tables.transitions(summary).index) == list(FER2013)
    assert [c for c in VOTE_NAMES if c in audit_tables.transitions(summary).columns] == list(
        audit_tables.transitions(summary).columns
    )
    assert list(audit_tables.leakage_by_class(summary, "test in train", "exact")[0].index) == list(FER2013)


def test_balance(summary):
    table = audit_tables.balance(summary)
    assert list(table.index) == ["train", "validation", "test", "validation+test", "all"]
    assert table["total"].to_dict() == {**COUNTS, "validation+test": 21, "all": 49}
    assert table.loc["train", "disgust"] == 4 and table.loc["test", "happy"] == 2
    assert ">49<" in audit_tables.counts(summary).to_html()


def test_counts_have_thousands_separators(summary):
    large = copy.deepcopy(summary)
    large["balance"]["all"]["total"] = 35887
    assert ">35,887<" in audit_tables.counts(large).to_html()


def test_leakage(summary):
    table = audit_tables.leakage(summary)
    row = table.loc[("test in train", "exact")]
    assert (row["images"], row["with a copy"], row["share"]) == (14, 2, "14.29 %")
    assert (row["a copy with the same label"], row["all copies with the same label"]) == (1, 1)
    assert table.loc[("test in validation", "exact"), "share"] == "0.00 %"
    shares, texts = audit_tables.leakage_by_class(summary, "test in train", "exact")
    assert shares.tolist() == [0.5, 0.5, 0, 0, 0, 0, 0]
    assert texts[:3] == ["1 of 2", "1 of 2", "0 of 2"]


def test_agreement_and_transitions(summary):
    table = audit_tables.agreement(summary).data
    assert table.loc["angry", "equal to the majority"] == "100.0 %"
    assert table.loc["happy", "label got no vote"] == f"{100 / 7:.1f} %"
    assert (table.loc["all", "images"], table.loc["all", "voted"]) == (49, 49)
    assert table.loc["all", "equal to the majority"] == f"{100 * 48 / 49:.1f} %"
    changes = audit_tables.transitions(summary)
    assert (changes.loc["happy", "contempt"], changes.loc["happy", "happy"], changes.loc["sad", "sad"]) == (1, 6, 7)


def test_weights_say_which_formula_gives_the_printed_numbers(summary):
    assert list(audit_tables.weights(summary).data.columns) == list(FER2013), "nothing is printed of other sets"
    known = copy.deepcopy(summary)
    known["weights"] = {
        "close": dict.fromkeys(FER2013, 0.814) | {"surprise": 0.9995}, "far": dict.fromkeys(FER2013, 2.0),
        "printed": dict.fromkeys(FER2013, 0.81) | {"surprise": 0.99},
    }  # fmt: skip
    column = audit_tables.weights(known).data.filter(like="printed").iloc[:, 0]
    assert column.to_dict() == {"close": "6 of 7 (not surprise)", "far": "0 of 7", "printed": ""}, "1.00 is not 0.99"


def test_reading_holds_the_numbers(summary):
    text = audit_tables.reading(summary)
    assert f"**tiny** (fingerprint `{small_set().fingerprint}`): 49 images" in text
    assert "2 groups of pixel-identical images hold 4 images; 2 groups cross splits and 1 carry labels" in text
    assert "**2 of 14 test images (14.29 %) have an exact copy in train or validation**, 2 (14.29 %) a near copy" in text
    assert "Blank images: 1 with one grey level, 0 with almost one." in text
    assert "98.0 % of the 49 images that have one, and got no vote at all in 2.0 % of the images" in text
    silent = summary | {"agreement": {}}
    assert "majority" not in audit_tables.reading(silent) and "14.29 %" in audit_tables.reading(silent)


def test_numbers_that_other_pages_quote(summary):
    assert audit_tables.numbers(summary) == {
        "images": "49", "duplicate_groups": "2", "test_with_copy": "2", "test_with_copy_share": "14.29 %",
        "test_with_near_copy": "2", "test_images": "14",
    }  # fmt: skip


def test_a_class_without_images_is_a_dash():
    faces = small_set()
    keep = np.flatnonzero(faces.labels != FER2013.index("disgust"))
    summary = stored(audit.summary(faces.select(keep)))
    assert audit_tables.balance(summary)["disgust"].sum() == 0
    assert audit_tables.agreement(summary).data.loc["disgust", "equal to the majority"] == "-"
    shares, texts = audit_tables.leakage_by_class(summary, "test in train", "exact")
    assert np.isnan(shares["disgust"]) and texts[1] == "0 of 0"
    assert ">-<" in audit_tables.weights(summary).to_html()
