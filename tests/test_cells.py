"""What single cells of the notebooks compute, from records with known predictions."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fer_study import store
from fer_study.analysis import claims, report, verdicts
from fer_study.analysis.runs_table import COLUMNS
from fer_study.analysis.saliency import mean_maps
from fer_study.book.execute import NOTEBOOKS
from fer_study.data.labels import FER2013, class_names
from fer_study.jobs import evaluation
from fer_study.settings.experiment import AuditConfig
from notebook_cells import run_cell
from page_records import TEST, VALIDATION, labels_of, log_probabilities, make_record, predictions, two_epochs

SET_UP = {"03_model_comparison": "03-02", "07_error_analysis": "07-02", "design": "design-02"}


def cell(name: str, place: str) -> str:
    """The text of a cell."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    (found,) = [one for one in cells if one["id"] == place]
    return "".join(found["source"])


def run_cells(
    name: str, places: list[str], records: list[store.Record], *, audits: Sequence[object] = (), **names: object
) -> dict:
    """Run cells of a notebook on records, with the imports of its set-up cell; ``shown`` is the value of the last line."""
    rows = [["s", r.config.name, r.config.model.name, "ladder", "x", "x", r.config.seed, r.key, r] for r in records]
    systems: dict[str, list] = {}
    for record in records:
        systems.setdefault(report.title(record.config.name), []).append(record)
    classes = class_names(next(iter(records[0].predictions.views.values())).shape[1])
    page = SimpleNamespace(runs=pd.DataFrame(rows, columns=COLUMNS), classes=classes, audits=audits)
    whole = page.runs
    given = {"page": page, "whole": whole, "systems": systems, "recipes": ["ladder"], "edition": "synthetic"} | names
    imports = [part for part in ast.parse(cell(name, SET_UP[name])).body if isinstance(part, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), name, "exec"), names := {})
    names.update(given)
    for place in places:
        names["shown"] = run_cell(cell(name, place), place, names)
    plt.close("all")
    return names


def confused() -> np.ndarray:
    """Predictions: of 40 test images 6 sad are called neutral, 2 neutral sad and 3 angry fear; of each class 5 or 6."""
    labels, predicted = labels_of(TEST), predictions(40)
    test = predicted[VALIDATION:]
    test[labels == 4] = 6
    test[np.flatnonzero(labels == 6)[:2]] = 4
    test[np.flatnonzero(labels == 0)[:3]] = 2
    return predicted


def test_confusions_one_way_and_both_ways(tmp_path):
    records = [make_record(tmp_path, confused()), make_record(tmp_path, 40, name="right")]
    names = run_cells("07_error_analysis", ["07-test", "07-05"], records)
    pairs = names["shown"]
    assert pairs.index.tolist() == ["neutral and sad", "angry and fear"]
    assert pairs["EmotionCNN"].tolist() == [round(800 / 11, 1), 25.0]
    one_way = run_cells("07_error_analysis", ["07-test", "07-05", "07-wrong"], records)["one_way"].reset_index()
    assert one_way[["network", "label", "predicted", "predictions", "% of the label"]].to_numpy().tolist() == [
        ["EmotionCNN", "sad", "neutral", 6, 100.0],
        ["EmotionCNN", "angry", "fear", 3, 50.0],
        ["EmotionCNN", "neutral", "sad", 2, 40.0],
    ], "who confuses nothing has no row"


def test_confusion_and_bins_count_all_seeds(tmp_path, monkeypatch):
    drawn = {}
    records = [make_record(tmp_path, 30), make_record(tmp_path, 10, seed=1)]
    plots = "fer_study.plots"

    def confusion(counts, _classes, ax, **head):
        drawn.update(counts=counts, head=head)
        return ax

    monkeypatch.setattr(f"{plots}.confusion", confusion)
    monkeypatch.setattr(f"{plots}.reliability", lambda bins, _ax, error, **_: drawn.update(bins=bins, error=error))
    run_cells("07_error_analysis", ["07-test", "07-04", "07-09"], records)
    assert drawn["counts"].shape == (7, 7) and drawn["counts"].sum() == 80 and np.trace(drawn["counts"]) == 40
    assert "80 predictions" in drawn["head"]["note"] and "2 seeds" in drawn["head"]["note"]
    (row,) = drawn["bins"].itertuples()
    assert (row.n, row.value) == (80, 0.5) and row.start < row.confidence <= row.end and row.low < 0.5 < row.high
    assert row.confidence == pytest.approx(0.7, abs=1e-3)
    assert drawn["error"].startswith("calibration error 25.0 %") and "[" not in drawn["error"], "of two seeds, 5 and 45"


def cam(value: float, count: int, empty: int = 6) -> dict[str, np.ndarray]:
    """Constant maps of 3x3; class ``empty`` has none."""
    maps = np.full((7, 3, 3), value, np.float16)
    maps[empty] = np.nan
    return {"maps": maps, "counts": np.where(np.arange(7) == empty, 5, count)}


def test_maps_are_averaged_over_the_seeds_that_have_one(tmp_path):
    records = [make_record(tmp_path, 20, cam=cam(0.25, 30)), make_record(tmp_path, 20, seed=1, cam=cam(0.75, 40, empty=0)),
               make_record(tmp_path, 20, seed=2)]  # fmt: skip
    maps, counts = mean_maps(records)
    assert maps.dtype == np.float32
    assert maps[1:6].tolist() == np.full((5, 3, 3), 0.5).tolist()
    assert (maps[0] == 0.25).all() and (maps[6] == 0.75).all(), "one seed each"
    assert counts.tolist() == [30, 70, 70, 70, 70, 70, 40], "images behind a map that is not there do not count"


def test_maps_that_no_seed_has_are_nan(tmp_path):
    maps, counts = mean_maps([make_record(tmp_path, 20, cam=cam(1.0, 30))])
    assert np.isnan(maps[6]).all() and counts[6] == 0
    maps, counts = mean_maps([make_record(tmp_path, 20, seed=1)])
    assert maps.shape[0] == 7 and np.isnan(maps).all() and counts.tolist() == [0] * 7


def looking(tmp_path, seed: int, lower: float, name: str) -> store.Record:
    """A record whose maps have a share in the lower row and the rest in the upper one; of disgust it looks nowhere."""
    stored = cam(0.0, 30)
    stored["maps"][:6, 0], stored["maps"][:6, 2] = 1 - lower, lower
    stored["maps"][1] = 0
    return make_record(tmp_path, 20, seed=seed, cam=stored, name=name)


def test_thirds_have_an_interval_over_three_seeds(tmp_path):
    records = [looking(tmp_path, s, low, "two") for s, low in ((0, 0.25), (1, 0.5))]
    records += [looking(tmp_path, s, low, "three") for s, low in ((0, 0.25), (1, 0.5), (2, 0.75))]
    table = run_cells("07_error_analysis", ["07-12"], records)["shares"]
    classes = table.loc["three"].index.unique("class")
    assert list(classes) == [c for c in FER2013 if c not in ("disgust", "neutral")]
    mouth = "lower (mouth, chin)"
    two, three = (table.loc[(name, "happy", mouth), ["value", "low", "high"]].tolist() for name in ("two", "three"))
    assert two[0] == pytest.approx(0.375, abs=1e-3) and np.isnan(two[1:]).all(), "no interval from two seeds"
    odds = np.exp(4.303 * 0.25 / 3**0.5 / 0.25)  # Student's t, two degrees of freedom, on the logit scale
    assert three == pytest.approx([0.5, 1 / (1 + odds), odds / (1 + odds)], abs=1e-3)
    names = run_cells("07_error_analysis", ["07-12", "07-thirds-fold"], records, display=lambda _: None)
    assert names["cells"]["three", "happy", mouth] == "50 % [8, 92]" and names["cells"]["two", "happy", mouth] == "38 %"


def test_the_eyes_lie_in_the_middle_third_of_fer2013():
    """In every published mean face the darkest row between forehead and nose, over the columns of both eyes, is row 16 or 17
    of 48: below the upper third, 0 to 15."""
    (record,) = [r for r in store.records() if r.published and isinstance(r.config, AuditConfig)
                 and r.config.data.dataset == "fer2013"]  # fmt: skip
    eyes = record.mean_faces[:, 8:28, [*range(9, 20), *range(28, 39)]].astype(float).mean(axis=2)
    assert set(8 + eyes.argmin(axis=1)) <= {16, 17}


def test_maps_are_held_against_the_moved_regions(tmp_path):
    regions = np.zeros((7, 3, 3), np.float16)
    regions[:, 0, :2] = 1.0  # all saliency lies in the upper row, equally over its three pixels
    shown = []

    def held(rows: dict, record: store.Record) -> dict:
        audits = [SimpleNamespace(rows=rows)]
        return run_cells(
            "07_error_analysis",
            ["07-12", "07-truth", "07-truth-figure", "07-truth-table"],
            [record],
            audits=audits,
            display=shown.append,
        )

    table = held({"regions": regions}, looking(tmp_path, 0, 0.0, "x"))["value"]
    seen = table.loc["x"].dropna()
    assert seen.index.tolist() == [c for c in FER2013 if c not in ("disgust", "neutral")]
    assert seen.tolist() == pytest.approx([3.0] * 5, rel=1e-3), "two thirds of the saliency on two ninths of the area"
    assert len(shown) == 2
    held({}, looking(tmp_path, 0, 0.0, "y"))
    assert len(shown) == 2, "of photographs nothing is shown, nor said"


def test_images_with_a_copy_are_scored_apart(tmp_path):
    """The first 20 test images are copies, and right; of the other 20, 5 are."""
    table = run_cells("03_model_comparison", ["03-copies"], [make_record(tmp_path, 25, clean=False)])["shown"]
    assert table.loc[("EmotionCNN", "ladder")].to_dict() == {"has a copy": 100.0, "no copy": 25.0}


def test_the_gap_of_the_losses(tmp_path):
    records = [make_record(tmp_path, 20, seed=s, history=two_epochs(1.5 + s)) for s in (0, 1)]
    row = run_cells("03_model_comparison", ["03-20"], records)["shown"].loc[("EmotionCNN", "ladder")]
    assert (row["training loss"], row["validation loss"]) == (1.0, 2.0) and row["gap"].startswith("+1.000 [")
    assert "training loss, evaluation mode" not in row, "no record has it"


@pytest.mark.parametrize("edition", ["fer2013", "synthetic"])
def test_reported_numbers_stand_beside_those_of_their_own_data_only(tmp_path, monkeypatch, edition):
    drawn = []
    monkeypatch.setattr("fer_study.plots.score_intervals", lambda table, **head: drawn.append(table.set_index("name")))
    records = [make_record(tmp_path, 20), make_record(tmp_path, 20, name="hog_svm")]
    run_cells("03_model_comparison", ["03-11"], records, edition=edition)
    (table,) = drawn
    assert table["value"].tolist() == [0.5, 0.5] and table["of"].tolist() == ["1 seed"] * 2
    reported = table["reported"].dropna().to_dict()
    assert reported == ({"EmotionCNN": 0.5826} if edition == "fer2013" else {})


def test_what_other_pages_quote(tmp_path):
    glued = {}
    names = {"glue": lambda edition, **values: glued.update(values), "LADDER": {"emotion_cnn": "ladder-01"}}
    text = cell("03_model_comparison", "03-23")
    page = SimpleNamespace(verdicts=lambda: pd.DataFrame({"verdict": {"ladder-01": "consistent"}}))
    systems = {"EmotionCNN": [make_record(tmp_path, 40)], "HOG + SVM": []}
    names |= {"page": page, "systems": systems, "recipes": ["a"], "edition": "fer2013", "report": report}
    exec(text, names | {"verdicts": verdicts, "claims": claims})
    assert glued == {
        "accuracy_emotion_cnn": "100.0 % [91.2, 100.0]", "seeds_emotion_cnn": "1", "verdict_emotion_cnn": "consistent",
        "own_word_emotion_cnn": "undecided",
        "accuracy_hog_svm": "not measured", "seeds_hog_svm": "0", "verdict_hog_svm": "-",
    }  # fmt: skip


def two_views(right: int, validation_right: int) -> dict[str, np.ndarray]:
    """A single view as given, and a ten-crop view that is the other way round."""
    single, ten = predictions(right, validation_right), predictions(40 - right, VALIDATION - validation_right)
    return {f"last_{tta}": evaluation.stored(log_probabilities(p)) for tta, p in (("single", single), ("ten_crop", ten))}


def designed(folder, right: int, validation_right: int = 5, *, hours: float = 1.0, views=None, name="fer48", seed=0):
    env = {"seconds": 3600 * hours, "threads": 2}
    return make_record(folder, predictions(right, validation_right), name=name, seed=seed, env=env, views=views)


def run_design(places: list[str], records: list[store.Record], **names: object) -> dict:
    compared: dict[str, list] = {}
    for record in records:
        compared.setdefault(record.config.name, []).append(record)
    small = {"size": lambda *given: {"parameters": 1e6, "mflops": 10.0}, "fold": lambda table, title: table}
    return run_cells("design", places, records, **({"compared": compared, "names": list(compared)} | small | names))


@pytest.mark.parametrize(("validation_right", "view"), [(9, "last_single"), (1, "last_ten_crop")])
def test_the_view_is_chosen_on_validation(tmp_path, validation_right, view):
    """Whatever the test split says: where single wins on validation it loses there, and the other way round."""
    right = 40 - 4 * validation_right
    record = designed(tmp_path, right, views=two_views(right, validation_right))
    assert run_design(["design-view"], [record])["chosen"] == view


def test_a_network_counts_once_whatever_its_seeds(tmp_path):
    """Three seeds of one network for the single view, two networks of one seed each for ten-crop."""
    records = [designed(tmp_path, 20, seed=s, views=two_views(20, 6)) for s in range(3)]
    records += [designed(tmp_path, 20, name=name, views=two_views(20, 4)) for name in ("a", "b")]
    assert run_design(["design-view"], records)["chosen"] == "last_ten_crop"


@pytest.mark.parametrize(("right", "hours", "above", "below", "in_time"), [
    (36, 2.0, True, False, True), (28, 2.0, False, False, True), (20, 2.0, False, True, True),
    (36, 2.1, True, False, False),
])  # fmt: skip
def test_the_aim(tmp_path, right, hours, above, below, in_time):
    """28 of 40 are the 70 %, but another 40 images may say less; two threads for two hours are the time."""
    cells = ["design-view", "design-04", "design-goal"]
    names = run_design(cells, [designed(tmp_path, right, hours=hours)], ours="fer48")
    row = names["shown"].iloc[0]
    assert row["accuracy"].startswith(f"{100 * right / 40:.1f} %")
    found = (row["whole interval above the aim"], row["whole interval below the aim"], row["within the time"])
    assert found == tuple("yes" if one else "no" for one in (above, below, in_time))


def test_ours_against_the_others_in_both_views(tmp_path):
    records = [designed(tmp_path, 36, views=two_views(36, 1)), designed(tmp_path, 12, name="b", views=two_views(12, 1))]
    table = run_design(["design-view", "design-04", "design-05"], records)["shown"]
    assert list(table.index) == [("fer48 minus b", "last weights, ten-crop"), ("fer48 minus b", "last weights, single")]
    assert [text[:5] for text in table["paired (points)"]] == ["-60.0", "+60.0"]
    assert table["seeds of both"].tolist() == [1, 1]
    assert list(table["over all seeds (points)"]) == ["-60.0", "+60.0"], "nothing was trained twice"


def test_no_step_reads_the_test_split(tmp_path):
    tables = []
    for folder, right in (("a", 40), ("b", 0)):
        steps = {"plain": 0, "more": 9, "same": 9, "bad": 1}
        tried = {name: [designed(tmp_path / folder, right, hits, name=name)] for name, hits in steps.items()}
        names = run_design(["design-view", "design-04", "design-09", "design-10"], tried["plain"], tried=tried)
        tables.append(names["shown"])
    assert tables[0].equals(tables[1])
    change = tables[0]["accuracy (points)"]
    assert [text[:5] for text in change] == ["+90.0", "+0.0 ", "-80.0", "+10.0"]
    assert [text[0] for text in tables[0]["log loss"]] == ["-", "+", "+", "-"]
