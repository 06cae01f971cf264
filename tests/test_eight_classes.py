"""Contempt, the eighth class: from a folder of pictures to the pages, by the command line; and every page's tables."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_study import audit, store
from fer_study.analysis import report
from fer_study.analysis.saliency import mean_maps
from fer_study.audit import tables
from fer_study.book.notebook import Page
from fer_study.data.labels import EIGHT, FER2013, class_names
from fer_study.data.twin import synthetic
from fer_study.jobs import editions
from fer_study.settings.checkout import ROOT
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import DataConfig
from fer_study.training.losses import class_weights
from notebook_cells import page_of, run_notebook
from page_records import TEST, VALIDATION, labels_of, make_record

STAGES = {
    "01_dataset_audit": {"near_threshold": 0.95, "others": []},
    "02_class_weighting": {
        "recipes": ["smoke"],
        "model": "emotion_cnn",
        "seeds": [0],
        "arms": {"none": {}, "heavy": {"loss.class_weights": "heavy"}},
    },
    "06_cross_dataset": {"recipes": ["smoke"], "model": "emotion_cnn", "sources": ["folders"], "seeds": [0]},
    "07_error_analysis": {"recipes": ["smoke"], "models": ["emotion_cnn"], "seeds": [0]},
}


@pytest.fixture
def clone(tmp_path) -> Path:
    """A copy of the checkout with an edition of eight classes, ``eight``, whose pictures lie beside it."""
    for part in ("fer_study", "notebooks", "params"):
        shutil.copytree(ROOT / part, tmp_path / "clone" / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "clone")  # which makes it a checkout
    folder, drawn = tmp_path / "clone" / "params" / "eight", synthetic.make(200, seed=3, style="lab", processes=1)
    folder.mkdir()
    data = {"dataset": "folders", "classes": 8}
    (folder / "edition.yaml").write_text(
        json.dumps({"title": "eight", "data": data, "live": {"recipe": "smoke", "width": 0.25}})
    )
    for stage, given in STAGES.items():
        more = {"targets": ["folders", "synthetic-lab"]} if stage.startswith("06") else {}
        (folder / f"{stage}.yaml").write_text(json.dumps(given | more))
    for i, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        split = "train" if i < 120 else "validation" if i < 150 else "test"
        path = tmp_path / "data" / "folders" / split / ("contempt" if i % 8 == 0 else EIGHT[label]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path)
    return tmp_path / "clone"


def fer_study(clone: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the command of a copy of the checkout."""
    places = {"PYTHONPATH": str(clone), "FER_STUDY_RUNS": str(clone / "runs"), "FER_STUDY_DATA": str(clone.parent / "data")}
    command = [Path(sys.executable).with_name("fer-study"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ | places, cwd=clone)


def test_from_the_pictures_to_the_pages(clone):
    """Two networks trained, three pages made."""
    done = fer_study(clone, "execute", "eight", "01", "02", "07")
    assert done.returncode == 0, done.stderr[-2000:]
    pages = {p.stem[:2]: p.read_text(encoding="utf-8") for p in (clone / "runs" / "pages" / "eight").glob("*.ipynb")}
    assert sorted(pages) == ["01", "02", "07"]
    assert "contempt" in pages["01"] and "recall contempt" in pages["02"]
    shapes = {
        store.read_predictions(path).views["last_single"].shape for path in (clone / "runs").glob("*/predictions.parquet")
    }
    assert shapes == {(80, 8)}
    refused = fer_study(clone, "plan", "eight", "06")
    *_, last = refused.stderr.splitlines()
    assert refused.returncode == 2 and "folders 8" in last and "synthetic-lab 7" in last


@pytest.fixture(params=["all there", "one absent"])
def labels(request) -> np.ndarray:
    """Labels of the 50 images of a record, of eight classes; or without one of fear."""
    found = np.concatenate([labels_of(VALIDATION, 8), labels_of(TEST, 8)])
    return np.where(found == 2, 4, found) if request.param == "one absent" else found


def eight(folder: Path, predicted: np.ndarray | int, labels: np.ndarray, **given: object) -> store.Record:
    return make_record(folder, predicted, classes=8, labels=labels, **given)


def test_tables_and_readings_of_records(tmp_path, labels):
    predicted = labels.copy()
    predicted[VALIDATION:][labels[VALIDATION:] == 7] = 1  # all contempt is taken for disgust
    cam = {"maps": np.ones((8, 3, 3), np.float16), "counts": np.full(8, 30)}
    records = [eight(tmp_path, predicted, labels, name="cbam_cnn", seed=s, cam=cam) for s in range(3)]
    there = {"CBAM + kernels": records}
    value, _, _ = report.recalls(there, EIGHT)
    assert (value.loc["CBAM + kernels", "contempt"], value.loc["CBAM + kernels", "disgust"]) == (0, 1)
    missing = [name for name in EIGHT if not (labels[VALIDATION:] == EIGHT.index(name)).any()]
    assert value.columns[value.loc["CBAM + kernels"].isna()].tolist() == missing
    assert mean_maps(records)[0].shape == (8, 3, 3)


@pytest.mark.parametrize("voted", [True, False])
def test_the_page_of_an_audit(voted, monkeypatch):
    drawn = synthetic.make(200, seed=3, style="lab", processes=1)
    contempt = np.where(np.arange(200) % 8 == 0, 7, drawn.labels)
    faces = dataclasses.replace(
        drawn, labels=contempt, classes=EIGHT, truth={}, votes=drawn.votes if voted else None, fingerprint=""
    )
    found = json.loads(json.dumps(audit.run(faces).summary(), sort_keys=True))  # as a record stores it
    page_of(monkeypatch, found)
    names = run_notebook("01_dataset_audit")
    assert list(names["balance"].columns) == [*EIGHT, "total"]
    assert list(names["by_class"].index) == list(names["weights"].columns) == list(EIGHT)
    assert ("odds" in names) == voted
    if voted:
        assert names["own"] == "eight emotions"
        assert list(names["odds"].index) == list(names["agreement"].index) == [*EIGHT, "all"]
        assert list(names["gains"].index) == list(EIGHT) == list(tables.transitions(found).index)
        assert tables.shares(found)["value"].columns[-1] == "contempt" and names["says"].shape == (8, 8)
        assert list(names["answers"].columns) == [*EIGHT, "all", "images"]


def test_heavy_weights_of_eight_classes():
    import torch

    assert class_weights("heavy", torch.ones(8), EIGHT).tolist() == [1, 15, 8, 1, 1, 1, 1, 1]


def test_other_sets_of_an_edition_have_as_many_classes(monkeypatch):
    monkeypatch.setattr(editions, "with_fingerprint", lambda data: data.replace(fingerprint="there"))
    own = DataConfig(dataset="folders", classes=8, protocol="resplit", fingerprint="mine")
    edition = editions.Edition(data=own)
    assert editions.dataset_config("folders", edition) == own
    assert editions.dataset_config("rafdb", edition) == DataConfig(dataset="rafdb", classes=8, fingerprint="there")
    assert editions.dataset_config("synthetic-lab", edition).classes == 7


def test_what_has_no_eight_classes_is_refused():
    with pytest.raises(InputError, match="classes is 8, allowed for synthetic faces: 7"):
        editions.with_fingerprint(DataConfig(dataset="synthetic", classes=8))
    with pytest.raises(ValueError, match=r"is 9, allowed: 1\.\.8"):
        class_names(9)
    assert class_names(7) == FER2013 == Page("smoke").classes
