"""Tables of an audit that went through the store, and the page that computes on them."""

from __future__ import annotations

import copy
import json

import numpy as np
import pandas as pd
import pytest

from fer_study import audit, store
from fer_study.audit import tables
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import FER2013, VOTE_NAMES
from notebook_cells import page_of, run_notebook

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
    return stored(audit.run(small_set()).summary())


@pytest.fixture
def page(monkeypatch):
    """Run the audit's notebook on audits as they are stored; gives the names of its cells."""

    def run(*audits: dict) -> dict:
        page_of(monkeypatch, *audits)
        return run_notebook("01_dataset_audit")

    return run


def htmls(names: dict) -> list[str]:
    """What a page shows as HTML: folds and tables."""
    return [shown._repr_html_() for shown in names["said"] if hasattr(shown, "_repr_html_")]


def test_classes_come_back_in_their_order(summary):
    assert list(summary["balance"]["train"]) != [*FER2013, "total"], "as stored, keys are sorted"
    assert tables.classes_of(summary) == list(FER2013)
    assert list(tables.by_class(summary, summary["agreement"]["eight emotions"]).index) == [*FER2013, "all"]
    assert list(tables.noise(summary).index) == [*FER2013, "all"]
    assert list(tables.shares(summary)["low"].columns) == list(FER2013)
    changes = tables.transitions(summary)
    assert list(changes.index) == list(FER2013) and list(changes.columns) == list(VOTE_NAMES[:8])


def test_leaks_and_transitions(summary):
    row = tables.leaked(summary, "test in train+validation", "exact")
    assert (row["images"], row["with_copy"], row["same_label"], row["share"]) == (14, 2, 1, pytest.approx(1 / 7))
    assert tables.leaked(summary, "test in train", "exact", "angry")["share"] == 0.5
    with pytest.raises(KeyError):
        tables.leaked(summary, "test in nowhere", "exact")
    changes = tables.transitions(summary)
    assert (changes.loc["happy", "contempt"], changes.loc["happy", "happy"], changes.loc["sad", "sad"]) == (1, 6, 7)


def test_a_share_is_printed_with_its_interval():
    table = pd.DataFrame({"value": [0.524, 0.5, None], "low": [0.51, None, 0.2], "high": [0.538, None, 0.3]}, list("abc"))
    assert tables.with_interval(table).to_dict() == {"a": "52.4 [51.0, 53.8]", "b": "50.0", "c": "-"}
    signed = tables.with_interval(table.add_prefix("error_"), "error_", "+")
    assert signed["a"] == "+52.4 [+51.0, +53.8]"


def test_the_page_counts(page, summary):
    names = page(summary)
    table = names["balance"]
    assert list(table.index) == ["train", "validation", "test", "validation+test", "all"]
    assert table["total"].to_dict() == {**COUNTS, "validation+test": 21, "all": 49}
    assert table.loc["train", "disgust"] == 4 and table.loc["test", "happy"] == 2
    facts = names["facts"]
    assert facts["data"] == f"tiny (fingerprint {small_set().fingerprint})" and facts["images"] == "49"
    assert facts["groups of pixel-identical images"] == "2, of 4 images"
    assert facts["test images with an exact copy in train or validation"] == "2 of 14"
    assert facts["... of these across splits"] == "2"
    assert facts["... of these with labels that contradict each other"] == "1"
    row = names["every_class"].loc[("test in train", "exact")]
    assert row.tolist() == [14, 2, pytest.approx(1 / 7), 1, 1]
    assert names["by_class"]["share"].tolist() == [0.5, 0.5, 0, 0, 0, 0, 0]
    agreement = names["shown"]
    assert agreement.loc["angry", "equal to the majority"] == 1
    assert agreement.loc["happy", "label got no vote"] == pytest.approx(1 / 7)
    assert agreement.loc["all", ["images", "voted", "equal to the majority"]].tolist() == [49, 49, pytest.approx(48 / 49)]
    assert "off" not in names, "nothing is printed of other sets"


def test_a_page_with_large_counts_of_two_sets(page, summary, capsys):
    large = copy.deepcopy(summary)
    large["balance"]["all"]["total"] = 35887
    shown = htmls(page(large, summary))
    assert any(">35,887<" in html for html in shown)
    assert capsys.readouterr().out.count("fingerprint  ") == 2, "the doctor speaks of both"


def test_the_page_says_which_formula_gives_the_printed_weights(page, summary):
    known = copy.deepcopy(summary)
    known["weights"] = {
        "close": dict.fromkeys(FER2013, 0.814) | {"surprise": 0.9995}, "far": dict.fromkeys(FER2013, 2.0),
        "printed": dict.fromkeys(FER2013, 0.81) | {"surprise": 0.99},
    }  # fmt: skip
    off = page(known)["off"]
    assert (off == 0).sum(axis=1).to_dict() == {"close": 6, "far": 0}
    assert off.loc["close", "surprise"] == 0.01, "1.00 is not 0.99"


def test_a_page_without_votes(page, summary):
    without = summary | {"agreement": {}, "transitions": {}, "gains": {}, "noise": {}, "ceiling": {}}
    names = page(without)
    assert not {"weighed", "people", "agreement", "says"} & set(names) and names["facts"]["images"] == "49"


def test_a_page_with_a_class_without_images(page):
    faces = small_set()
    keep = np.flatnonzero(faces.labels != FER2013.index("disgust"))
    names = page(stored(audit.run(faces.select(keep)).summary()))
    assert names["balance"]["disgust"].sum() == 0 and np.isnan(names["weights"].loc["N and n_c of train", "disgust"])
    assert np.isnan(names["by_class"].loc["disgust", "share"]) and names["by_class"].loc["disgust", "images"] == 0
    shown = htmls(names)
    assert sum(">-<" in html for html in shown) >= 3 and not any(">nan" in html for html in shown)
