"""Label noise and the human ceiling from votes: by hand, where a simpler estimate fails, on the twin, and on a page."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest

from fer_study import audit, store
from fer_study.audit import tables
from fer_study.audit.crowd import ESTIMATORS, WEIGHED, leave_one_out, weigh
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import FER2013, VOTE_NAMES
from fer_study.data.twin import drawing, synthetic
from fer_study.jobs import stages
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AuditConfig, DataConfig
from fer_study.store.record_files import write_parts
from jobs_by_config import run_job
from notebook_cells import page_of, run_notebook


def faces_of(votes: np.ndarray, labels: np.ndarray, split: str = "test", **rest) -> FaceSet:
    n = len(labels)
    images = np.random.default_rng(0).integers(0, 256, (n, 1, 4, 4), dtype=np.uint8)
    return FaceSet("made", images, np.asarray(labels, np.int64), np.full(n, split), np.arange(n).astype(str),
                   votes=votes.astype(np.uint8), **rest)  # fmt: skip


def votes(*rows: dict[str, int]) -> np.ndarray:
    return np.array([[row.get(name, 0) for name in VOTE_NAMES] for row in rows])


def column(table: pd.DataFrame, name: str) -> list[float]:
    return table.loc[name, ["value", "low", "high"]].tolist()


# ---------------------------------------------------------------------------------------------------------- human ceiling

CROWD = votes({"happy": 10}, {"fear": 6, "surprise": 4}, {"neutral": 5, "sad": 5}, {"fear": 5, "sad": 4, "neutral": 1})


def test_leave_one_out_by_hand():
    """Image 1: always. 2: the six who say fear. 3: whoever is left out, the other side wins; a majority that counted the
    tagger would find one half. 4: without one who says fear, fear and sad are tied at four; else fear wins."""
    agrees, weight = leave_one_out(CROWD)
    assert agrees.sum(axis=1) == pytest.approx([1, 0.6, 0, 0.25])
    assert weight.sum(axis=1) == pytest.approx(np.ones(4))
    fear, sad, neutral = (VOTE_NAMES.index(name) for name in ("fear", "sad", "neutral"))
    assert weight[1, fear] == pytest.approx(1) and weight[2, [sad, neutral]] == pytest.approx([0.5, 0.5])
    assert weight[3, [fear, sad]] == pytest.approx([0.75, 0.25]) and agrees[3, fear] == pytest.approx(0.25)


def test_leave_one_out_is_the_mean_over_every_choice():
    rng = np.random.default_rng(1)
    crowd = rng.multinomial(10, rng.dirichlet(np.ones(5)), 50)
    agrees, _ = leave_one_out(crowd)
    for row, found in zip(crowd, agrees.sum(axis=1), strict=True):
        each = []
        for tagger in np.repeat(np.arange(5), row):
            others = row - np.eye(5, dtype=int)[tagger]
            top = np.flatnonzero(others == others.max())
            each.append((tagger in top) / len(top))
        assert found == pytest.approx(np.mean(each))


def test_human_ceiling_by_hand():
    crowd = np.concatenate([CROWD, votes({"unknown": 9, "happy": 1}, {"angry": 10})])
    labels = [3, 5, 4, 2, 3, 1]
    faces = faces_of(crowd, labels, truth={"true_label": np.array([3, 2, 4, 2, 3, 0])})
    faces.split[-1] = "train"  # not asked about
    every, seven = audit.human_ceiling(faces, 10), audit.human_ceiling(faces, 7)
    assert every["tagger_label"].loc["all", "images"] == 5 and seven["tagger_label"].loc["all", "images"] == 4
    assert every["tagger_label"].loc["all", "value"] == pytest.approx((1 + 0.4 + 0.5 + 0.5 + 0.1) / 5)
    assert every["tagger_label"].loc["happy", "value"] == pytest.approx(1.1 / 2)
    assert every["crowd_label"].loc["all", "value"] == pytest.approx((1 + 0 + 0.5 + 1 + 0) / 5)
    assert every["tagger_truth"].loc["fear", "value"] == pytest.approx((0.6 + 0.5) / 2)
    assert every["truth_label"].loc["surprise", "value"] == 0 and every["truth_label"].loc["all", "value"] == 0.8
    assert every["tagger_crowd"].loc["all", "value"] == pytest.approx((1 + 0.6 + 0 + 0.25 + 0.9) / 5)
    assert seven["tagger_crowd"].loc["fear"].drop(["low", "high"]).tolist() == pytest.approx([0.85 / 1.75, 1.75])
    assert every["tagger_label"].loc["disgust"].drop("images").isna().all(), "no test image: undefined, not 0"


def test_the_interval_is_that_of_a_share():
    rng = np.random.default_rng(2)
    labels = np.where(rng.random(2000) < 0.7, 3, 4)
    faces = faces_of(votes({"happy": 10}).repeat(2000, axis=0), labels)
    value, low, high = column(audit.human_ceiling(faces, 10)["tagger_label"], "all")
    half = 1.96 * (value * (1 - value) / 2000) ** 0.5
    assert value == np.mean(labels == 3) and (value - low, high - value) == pytest.approx((half, half), rel=0.15)


# ------------------------------------------------------------------------------------------------------------ label noise


def test_weighing_by_hand():
    crowd, labels = np.array([[2, 0], [0, 2], [1, 1]]), np.array([0, 1, 0])
    assert weigh(crowd, labels, 0).tolist() == [[1, 0], [0, 1], [0.5, 0.5]]
    belief = weigh(crowd, labels, 1)
    assert belief[2] == pytest.approx([16 / 22, 6 / 22])  # label 0: 1.6 of 1.7 in class 0, 0.6 of 1.7 in class 1
    assert belief[0, 0] == pytest.approx(1 / (1 + (6 / 16) * (0.6 / 2.6) ** 2))


def test_a_crowd_that_errs_more_on_one_class():
    """Taggers see half of fear as surprise: disagreement with the majority blames the labels for it, weighing once does
    half as much, and here, where taggers err independently, weighing to convergence hardly at all."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 7, 6000)
    says = np.eye(7) * 0.88 + 0.02 * (1 - np.eye(7))
    says[2] = [0.02, 0.02, 0.48, 0.02, 0.02, 0.42, 0.02]
    crowd = np.pad(rng.multinomial(10, says[true]), ((0, 0), (0, 3)))
    labels = np.where(rng.random(6000) < 0.2, rng.integers(0, 7, 6000), true)
    found = audit.label_noise(faces_of(crowd, labels, "train", truth={"true_label": true}))
    simple, weighed, full = (found["estimators"][n] for n in ("majority", WEIGHED, "weighed to convergence"))
    assert simple.loc["fear", "error_low"] > 0.2
    assert weighed["error_value"].abs().max() < simple.loc["fear", "error_value"] / 2
    assert full["error_value"].abs().max() < 0.02
    assert weighed.loc["fear", "true"] == pytest.approx(np.mean(true[labels == 2] != 2))
    assert (weighed["error_low"] <= weighed["error_value"]).all() and (weighed["error_value"] <= weighed["error_high"]).all()
    assert found["says"].loc["fear"].to_numpy() == pytest.approx(found["true_says"].loc["fear"].to_numpy(), abs=0.12)
    assert found["says"].sum(axis=1).to_numpy() == pytest.approx(np.ones(7))


def test_suspects_by_class():
    """Happy: 3 of 4 right, one wrong label that the crowd sees, one right one that it doubts. No disgust at all."""
    crowd = votes(*[{"happy": 10}] * 2, {"sad": 10}, {"sad": 9, "happy": 1}, *[{"sad": 10}] * 3, {"contempt": 10})
    faces = faces_of(crowd, [3, 3, 3, 3, 4, 4, 4, 4], truth={"true_label": np.array([3, 3, 4, 3, 4, 4, 4, 4])})
    found = audit.label_noise(faces)["estimators"]["majority"]
    assert found.loc["happy", ["images", "value", "true", "error_value", "precision", "recall"]].tolist() == [
        4, 0.5, 0.25, 0.25, 0.5, 1]  # fmt: skip
    assert found.loc["all", "images"] == 7, "an image without a vote for one of the classes is left out"
    assert found.loc["sad", "value"] == 0 and np.isnan(found.loc["sad", "precision"])
    assert found.loc["disgust"].drop("images").isna().all() and found.loc["disgust", "images"] == 0


def test_a_lost_class_is_named():
    crowd = votes(*[{"angry": 6, "disgust": 4}] * 9, *[{"happy": 10}] * 9)
    faces = faces_of(crowd, [1] * 9 + [3] * 9)
    assert audit.label_noise(faces)["lost"]["share of the votes"] == ["disgust"]


@pytest.fixture(scope="module")
def twin() -> FaceSet:
    """The default twin, all but its pixels: labels, votes and truth do not depend on them."""

    def nothing(_: dict, units: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shape = (len(units), 48, 48)
        return rng.integers(0, 256, shape, dtype=np.uint8), np.zeros(shape, np.uint8), np.zeros((len(units), 22, 2), "f4")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw", nothing)
        return synthetic.make(12000, seed=0, processes=1)


def test_the_estimate_on_the_twin(twin):
    found = audit.label_noise(twin)
    errors = {name: table["error_value"].drop("all").abs() for name, table in found["estimators"].items()}
    assert set(errors) == set(ESTIMATORS) and not any(found["lost"].values())
    assert errors[WEIGHED].mean() < 0.006 and errors[WEIGHED].max() < 0.012
    assert 0.01 < errors["majority"].mean() < 0.03, "the simple estimate is three times as far off"
    assert errors["share of the votes"].mean() > 0.1
    assert (found["estimators"][WEIGHED][["precision", "recall"]] > 0.93).all(axis=None)


def test_people_on_the_twin(twin):
    found = {name: table.loc["all", "value"] for name, table in audit.human_ceiling(twin, 10).items()}
    assert found["tagger_label"] < found["crowd_label"] < found["truth_label"] < found["crowd_truth"]
    assert found["tagger_label"] < found["tagger_crowd"] < found["crowd_truth"]
    assert 0.65 < found["truth_label"] < 0.75


def test_the_planted_gap_is_found_with_and_without_the_truth(twin):
    gaps, (attribute, group, planted) = audit.label_gaps(twin), synthetic.PLANTED_GAP
    row = gaps.loc[f"{attribute}: {group}"]
    for kind in ("", "estimated_"):
        assert row[f"{kind}low"] < -planted < row[f"{kind}high"] < 0
    assert gaps["value"].idxmin() == f"{attribute}: {group}"
    assert (
        "glasses: True" in gaps.index and "glasses: False" not in gaps.index and not gaps.index.str.contains("person").any()
    )


# ------------------------------------------------------------------------------------------------------- records and pages


@pytest.fixture
def small(runs_folder) -> AuditConfig:
    mark = synthetic.fingerprint(200, 0, "wild")
    return AuditConfig(data=DataConfig(dataset="synthetic", faces=200, style="wild", fingerprint=mark))


def test_a_form_is_part_of_the_key(small):
    """So that a record of an older one is not taken for the present one."""
    older = small.model_copy(update={"form": small.form - 1})
    assert older.key != small.key and run_job(small).config == small


def test_an_older_published_record_without_data_is_refused(runs_folder, tmp_path, monkeypatch):
    config = stages.own_audit("fer2013").config
    published = tmp_path / "results" / config.key
    published.mkdir(parents=True)
    write_parts(published, {"audit.json": '{"images": 1}'})
    monkeypatch.setattr(store, "published_root", lambda: tmp_path / "results")
    with pytest.raises(InputError):
        run_job(config, root=str(tmp_path))


def test_published_audits_have_the_present_form():
    found = [r for r in store.records() if r.published and isinstance(r.config, AuditConfig)]
    assert found and all(r.config.key == r.key for r in found)


def stored(faces: FaceSet) -> dict:
    return json.loads(store.as_json(audit.run(faces).summary()))


@pytest.fixture(scope="module")
def page(twin) -> dict:
    part = twin.select(np.arange(9000, 12000))
    part.truth.pop("duplicate_of")  # rows of the whole set
    return stored(part)


@pytest.fixture
def run(monkeypatch):
    """Run the audit's notebook on an audit as it is stored; gives the names of its cells."""

    def run(stored_audit: dict) -> dict:
        page_of(monkeypatch, stored_audit)
        return run_notebook("01_dataset_audit")

    return run


def folded_tables(said: list) -> list[pd.DataFrame]:
    """The tables that a page folds away, read from the files beside them."""
    texts = [shown.data for shown in said if hasattr(shown, "data") and "base64," in str(shown.data)]
    files = [base64.b64decode(re.search('base64,([^"]+)"', text)[1]) for text in texts]
    return [pd.read_csv(io.BytesIO(file), index_col=0) for file in files]


def test_tables_from_a_stored_record(page):
    table, raw = tables.noise(page), page["noise"]["estimators"][WEIGHED]["fear"]
    assert list(table.index) == [*FER2013, "all"] and table["error_value"].notna().all()
    assert table.loc["fear", ["value", "true"]].tolist() == [raw["value"], raw["true"]]
    value, low, high = tables.shares(page).values()
    assert list(value.index) == ["not the majority", "weighed votes", "truth"] and list(value.columns) == list(FER2013)
    assert (low.iloc[:2] <= value.iloc[:2]).all(axis=None) and high.loc["truth"].isna().all()


def test_the_page_of_the_audit(page, run):
    names = run(page)
    raw = page["noise"]["estimators"][WEIGHED]["fear"]
    cell = f"{100 * raw['value']:.1f} [{100 * raw['low']:.1f}, {100 * raw['high']:.1f}]"
    assert names["odds"].loc["fear", "by weighed votes (%)"] == cell
    shown = folded_tables(names["said"])
    (estimators,) = [table for table in shown if table.index.name == "estimate"]
    assert list(estimators.index) == list(ESTIMATORS) and set(estimators["classes lost"]) == {"none"}
    errors = tables.noise(page)["error_value"].drop("all").abs()
    assert estimators.loc[WEIGHED, "mean error by class (points)"] == round(100 * errors.mean(), 2)
    images = [page["noise"]["estimators"][WEIGHED][c]["images"] for c in FER2013]
    moved = names["says"].mul(names["weighed"].loc[list(FER2013), "images"], axis=0)
    assert list(moved.index) == list(moved.columns) == list(FER2013) and moved.sum(axis=1).tolist() == pytest.approx(images)
    ten, seven = [table for table in shown if str(table.index.name).startswith("votes: ")]
    assert list(ten.columns) == [*FER2013, "all", "images"] and list(ten.index) == list(names["questions"].values())
    assert ten.index.name == "votes: ten columns" and seven.index.name == "votes: seven emotions"
    assert "reported" not in names["people"]


def test_people_of_fer2013_stand_beside_the_reported_value(run):
    people = run(stored(faces_of(CROWD, [3, 2, 4, 2])) | {"name": "fer2013"})["people"].set_index("name")
    assert people["reported"].dropna().to_dict() == {"one tagger, the label": pytest.approx(0.65)}
    assert people["reported_spread"].dropna().tolist() == [pytest.approx(0.05)]


def test_where_labels_go(run):
    crowd = votes(*[{"happy": 10}] * 3, {"neutral": 10}, *[{"sad": 10}] * 2, {"contempt": 10}, {"unknown": 10})
    names = run(stored(faces_of(crowd, [3, 3, 3, 3, 2, 2, 2, 2])))
    moves = tables.transitions(names["audit"])
    assert moves.loc["fear", ["sad", "contempt", "fear"]].tolist() == [2, 1, 0]
    assert moves.loc["happy", ["happy", "neutral"]].tolist() == [3, 1]
    assert names["gains"]["a tie to the first"].loc[["sad", "fear"]].tolist() == [2, -3]
    assert set(names["odds"].loc["disgust"].drop("images")) == {"-"} and names["odds"].loc["disgust", "images"] == "0"


def test_ties_in_what_grows_most(run):
    """By hand: four ties of neutral and sad, all labelled angry, go to neutral; shared, each has two, happy three."""
    crowd = votes(*[{"neutral": 5, "sad": 5}] * 4, *[{"happy": 10}] * 3, {"not_face": 10})
    faces = faces_of(crowd, [0] * 8)
    found, none = audit.gains(faces, 8), dict.fromkeys(FER2013, 0)
    assert found["ties_first"].to_dict() == none | {"angry": -7, "happy": 3, "neutral": 4}
    assert found["ties_shared"].to_dict() == none | {"angry": -7, "happy": 3, "neutral": 2, "sad": 2}
    names = run(stored(faces))
    assert names["gains"]["ties shared evenly"].to_dict() == found["ties_shared"].to_dict()
    assert names["agreement"].loc["all", "tied"] == pytest.approx(4 / 7)
