"""The page of findings: it runs on the published records alone, and its numbers follow from their files, recomputed here."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_study.data.labels import FER2013
from fer_study.jobs.stages import own_audit
from fer_study.settings.checkout import ROOT
from notebook_cells import run_notebook


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> dict:
    """The names that the cells of the page bound, with an empty store of its own; ``glued``: what others may quote."""
    glued = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_STUDY_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setattr("myst_nb.glue", lambda name, value, display=True: glued.update({name: value}))
        sentences = []
        patch.setattr("fer_study.book.notebook.show", sentences.append)
        return run_notebook("08_findings", {"edition": "fer2013"}) | {"glued": glued, "sentences": sentences}


@pytest.fixture(scope="module")
def crowd() -> np.ndarray:
    """(N, 7) majority shares by row, as the file of the audit has them."""
    return np.load(own_audit("fer2013").record().folder / "faces.npz")["crowd"]


def tables(name: str, epochs: int) -> dict[int, pd.DataFrame]:
    """Seed -> predictions of the published runs of a name with so many epochs, from the files alone."""
    found = {}
    for path in (ROOT / "results").glob("*/config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["kind"] != "RunConfig" or (config["name"], config["data"]["dataset"]) != (name, "fer2013"):
            continue
        if sum(phase["epochs"] for phase in config["phases"]) == epochs:
            assert config["model"]["name"] == name.split(":")[0]
            found[config["seed"]] = pd.read_parquet(path.parent / "predictions.parquet")
    return found


def predicted(table: pd.DataFrame, view: str = "last_single") -> np.ndarray:
    return np.stack(table[view].to_numpy()).argmax(axis=1)


def test_the_lead_by_the_label_and_by_the_crowd_follows_from_the_predictions(page, crowd):
    """Finding 1: ours minus each other network, means over the seeds that there are; the spread is that within systems."""
    by_label, by_crowd, seeds = {}, {}, {}
    for name in ("fer48", "cbam_cnn", "vgg19_48", "resnet18_48"):
        for seed, table in tables(name, 24).items():
            test = table[table["split"] == "test"]
            said, shares = predicted(test), crowd[test["row"]]
            by_label.setdefault(name, []).append((said == test["label"]).mean())
            voted = shares.any(axis=1)
            by_crowd.setdefault(name, []).append(shares[voted, said[voted]].mean())
            seeds.setdefault(name, []).append(seed)
    assert {name: sorted(there) for name, there in seeds.items()} == {
        "fer48": [0, 1, 2], "cbam_cnn": [0], "vgg19_48": [0], "resnet18_48": [0, 1],
    }  # fmt: skip
    for rival, name in (("CBAM + kernels", "cbam_cnn"), ("VGG-19", "vgg19_48"), ("ResNet-18", "resnet18_48")):
        for measure, values in (("right by the label", by_label), ("right by the crowd", by_crowd)):
            squares = sum(((np.array(v) - np.mean(v)) ** 2).sum() for v in values.values())
            sizes = [len(values[system]) for system in ("fer48", name)]
            half = 3.182446 * np.sqrt(squares / 3 * sum(1 / size for size in sizes))  # t on 3 degrees of freedom
            expected = np.mean(values["fer48"]) - np.mean(values[name])
            lead = page["leads"][measure, rival]
            assert lead.value == pytest.approx(expected, abs=1e-6)
            assert (lead.low, lead.high) == pytest.approx((expected - half, expected + half), abs=1e-6)


def test_ten_crops_raise_the_score_and_lower_the_agreement_in_every_run(page):
    change = page["change"]
    assert len(change) == 7
    assert (change["right by the label"] > 0).all() and (change["right by the crowd"] < 0).all()


def test_false_alarms_are_counted_from_the_predictions(page):
    """Finding 3, for one system: three pairs of seeds; the interval of a mean of -1, 0 and 1 from their counts."""
    right = {}
    for seed, table in tables("simple_resnet", 20).items():
        test = table[table["split"] == "test"]
        right[seed] = predicted(test) == test["label"].to_numpy()
    expected = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        won, lost, n = (right[a] & ~right[b]).sum(), (right[b] & ~right[a]).sum(), len(right[a])
        mean = (won - lost) / n
        error = np.sqrt(((won + lost) - n * mean**2) / (n - 1) / n)
        expected.append([mean, mean - 1.96 * error, mean + 1.96 * error, abs(mean) > 1.96 * error])
    own = page["pairs"][page["pairs"]["system"] == "SimpleResNetFER"]
    assert own[["value", "low", "high", "alarm"]].to_numpy(float) == pytest.approx(np.array(expected, float), abs=1e-9)


def ahead_on_copies(table: pd.DataFrame, crowd: np.ndarray) -> float:
    """How far a run is ahead on the copies of images of the same label and case: the mean over copies of right minus
    the mean of its cell. What is a copy is read from a run that learned with them."""
    (whole,) = tables("hog_svm", 0).values()
    known, test = (one[one["split"] == "test"] for one in (whole, table))
    assert (known["row"].to_numpy() == test["row"].to_numpy()).all()
    right, label = (predicted(test) == test["label"]).to_numpy(float), test["label"].to_numpy()
    shares = crowd[test["row"]]
    cases = np.ceil(2 * shares.max(axis=1))  # 0 nobody, 1 tied, 2 one class
    case = np.where(shares[np.arange(len(test)), label] == 1, 3, cases)
    leaked, cross = known["copy_in_train"].to_numpy(), known["copy_in_validation"].to_numpy()
    gaps = [
        right[i] - right[(label == label[i]) & (case == case[i]) & ~leaked & ~cross].mean() for i in np.flatnonzero(leaked)
    ]
    assert len(gaps) == 288
    return float(np.mean(gaps))


def test_copies_are_held_against_images_of_the_same_label_and_case(page, crowd):
    """Finding 4, for HOG and SVM, without the page's tables."""
    (table,) = tables("hog_svm", 0).values()
    assert page["hog"].mean() == pytest.approx(ahead_on_copies(table, crowd))


def test_what_is_remembered_is_compared_apart(page, crowd):
    """Finding 4: a network that learns from other images shares no seed with the others, so the spread is that within
    systems, and every run counts."""
    names = ("simple_resnet", "simple_resnet: no_copies")
    found = [[ahead_on_copies(run, crowd) for run in tables(name, 20).values()] for name in names]
    groups = [group.to_numpy() for _, group in page["ahead"].groupby("system")["value"]]
    df = sum(len(group) - 1 for group in groups)
    variance = sum(((group - group.mean()) ** 2).sum() for group in groups) / df
    value = np.mean(found[0]) - np.mean(found[1])
    half = stats.t.ppf(0.975, df) * np.sqrt(variance * sum(1 / len(values) for values in found))
    assert page["remembered"][:1] == pytest.approx([value])
    assert page["remembered"][3:] == pytest.approx((value - half, value + half))


def test_public_test_is_harder_for_most_systems(page):
    """Finding 6: the gaps follow from the files, and the page names those that find PublicTest easier."""
    gap = page["gap"]
    exceptions = gap.index[gap < 0]
    assert "HOG + SVM" in exceptions and len(gap) >= 20 and len(exceptions) < 5
    assert any(all(name in text for name in exceptions) for text in page["sentences"])
    (table,) = tables("hog_svm", 0).values()
    right = pd.Series(predicted(table) == table["label"]).groupby(table["split"]).mean()
    assert gap["HOG + SVM"] == pytest.approx(right["test"] - right["validation"])


def test_the_front_page_has_a_picture_and_words_of_each_finding(page):
    glued = page["glued"]
    for number in range(1, 9):
        assert 'alt="' in glued[f"fer2013_finding{number}_figure"].data
        assert any(name.startswith(f"fer2013_finding{number}_") and isinstance(text, str) for name, text in glued.items())
    false, pairs = map(int, re.fullmatch(r"(\d+) of (\d+)", glued["fer2013_finding3_pairs"]).groups())
    assert 0 < false < pairs
    assert page["classes"] == list(FER2013)
