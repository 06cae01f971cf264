"""The page on our network: validation chooses, and the aim is called reached only when it is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from page_records import VALIDATION, log_probabilities, make_record, predictions

from fer_study.analysis import report
from fer_study.book.pages import design
from fer_study.data import labels
from fer_study.jobs import evaluation, stages
from fer_study.settings.errors import InputError


def record(folder, right, validation_right=5, *, hours=1.0, threads=2, views=None, name="emotion_cnn", seed=0):
    env = {"seconds": 3600 * hours, "threads": threads}
    return make_record(folder, predictions(right, validation_right), name=name, seed=seed, env=env, views=views)


def two_views(right, validation_right):
    """A single view as given, and a ten-crop view that is the other way round."""
    single, ten = predictions(right, validation_right), predictions(40 - right, VALIDATION - validation_right)
    return {f"last_{tta}": evaluation.stored(log_probabilities(p)) for tta, p in (("single", single), ("ten_crop", ten))}


@pytest.mark.parametrize(("validation_right", "view"), [(9, "last_single"), (1, "last_ten_crop")])
def test_the_view_is_chosen_on_validation(tmp_path, validation_right, view):
    """Whatever the test split says: where single wins on validation it loses there, and the other way round."""
    right = 40 - 4 * validation_right
    runs = {"ours": [record(tmp_path, right, views=two_views(right, validation_right))], "none": []}
    assert design.chosen_view(runs) == view
    assert labels.of_view("last_ten_crop") == "last weights, ten-crop"
    table = design.beside(runs, view)
    of_test = report.interval(runs["ours"], view=view)
    assert table.loc["ours", "test"] == report.percent(of_test) and list(table.index) == ["ours"]
    assert table.loc["ours", "core-hours of training"] == "2.0"


def test_a_network_counts_once_whatever_its_seeds(tmp_path):
    """Three seeds of one network for the single view, two networks of one seed each for ten-crop."""
    seeds = [record(tmp_path, 20, seed=s, views=two_views(20, 6)) for s in range(3)]
    others = {name: [record(tmp_path, 20, name=name, views=two_views(20, 4))] for name in ("kernel_cnn", "cbam_cnn")}
    assert design.chosen_view({"ours": seeds} | others) == "last_ten_crop"


@pytest.mark.parametrize(("right", "hours", "word"), [
    (36, 2.0, "reached"), (28, 2.0, "undecided"), (20, 2.0, "not reached"), (36, 2.1, "not reached"),
])  # fmt: skip
def test_the_aim(tmp_path, right, hours, word):
    """28 of 40 are the 70 %, but another 40 images may say less; two threads for two hours are the time."""
    text = design.goal({"ours": [record(tmp_path, right, hours=hours)]}, "last_single")
    assert f"**one seed: {word}**" in text and f"{100 * right / 40:.1f} %" in text


def test_against_the_others(tmp_path):
    better, worse = record(tmp_path, 36), record(tmp_path, 12, name="kernel_cnn")
    text = design.against({"ours": [better], "other": [worse], "missing": []}, "last_single")
    assert text.startswith("- ours minus other: +60.0 [") and text.endswith("**one seed: better**.")
    assert "missing" not in text
    runs = {"ours": [better], "other": [worse]}
    assert design.numbers(runs, "last_single")["accuracy_ours"].startswith("90.0 % [")
    assert design.numbers({"ours": [], "other": [worse]}, "") == {"accuracy_ours": "not measured", "core_hours_ours": "-"}
    assert design.against({"ours": [], "other": [worse]}, "last_single") == design.NOT_YET == design.goal({"ours": []}, "")


def test_no_step_reads_the_test_split(tmp_path):
    tables, texts = [], []
    for folder, right in (("a", 40), ("b", 0)):
        runs = {name: [record(tmp_path / folder, right, validation, name=model)]
                for name, model, validation in (("plain", "emotion_cnn", 0), ("more", "kernel_cnn", 9),
                                                ("same", "simple_resnet", 9), ("bad", "cbam_cnn", 1))}  # fmt: skip
        tables.append(design.steps(runs))
        texts.append(design.argued(runs | {"missing": []}))
    assert tables[0].equals(tables[1]) and texts[0] == texts[1]
    more, same, bad, together = texts[0].splitlines()
    assert more.startswith("- *more*: accuracy +90.0 [") and more.count("**one seed: better**") == 2 and "log loss -" in more
    assert same.startswith("- *same*: accuracy +0.0 [") and same.count("**one seed: not distinguishable**") == 2
    assert bad.startswith("- *bad*: accuracy -80.0 [") and bad.count("**one seed: worse**") == 2 and "log loss +" in bad
    assert together.startswith("- all of them together: accuracy +10.0 [")
    assert design.argued({"plain": runs["plain"], "missing": []}) == design.NOT_YET
    assert tables[0].loc["more", "accuracy minus the step before"].startswith("+90.0 [")
    assert tables[0].loc["plain", "validation"].startswith("0.0 %")


def test_the_runs_of_the_page():
    jobs = [job.config for job in stages.read_stage("fer2013", "design").jobs()]
    ours, *_ = jobs
    assert ours.model.name == "fer48" and ours.name == "fer48"
    full = [job for job in jobs if not job.name.endswith("_short") and job.seed == 0]
    assert {job.epochs for job in full} == {ours.epochs} and len({job.model.name for job in full}) == 4
    fields = {field for job in full for field in type(job).model_fields if getattr(job, field) != getattr(ours, field)}
    assert fields == {"name", "model"}, "the same recipe, data and seed"
    short = [job for job in jobs if job.name.endswith("_short") and job.seed == 0]
    assert short and all(job.epochs < ours.epochs and job.model.name == "fer48" for job in short)
    assert short[-1].model == ours.model, "the last step is the network"
    options = [job.model.options for job in short]
    assert all(sum(a[k] != b[k] for k in a) == 1 for a, b in pairwise(options)), "one part at a time"


def test_networks_of_equal_cost():
    jobs = stages.read_stage("fer2013", "design").jobs()[:4]
    found = {job.name: design.size(job.config.model)["mflops"] for job in jobs}
    assert np.ptp(list(found.values())) <= 0.1 * found["fer48"], found


@pytest.mark.parametrize(("change", "words"), [
    ({"networks": []}, "networks"), ({"networks": [{"name": "x", "model": "y"}]}, "unknown model 'y'"),
    ({"steps": [{"name": "x", "model": "fer48", "options": {"nose": 1}}]}, "unknown option 'nose'"),
    ({"steps": [{"name": "x", "model": "fer48", "colour": 1}]}, "colour"), ({"short": "none"}, "unknown recipe 'none'"),
])  # fmt: skip
def test_wrong_parameters(change, words):
    with pytest.raises(InputError, match=words) as caught:
        stages.check_stage("design", stages.parameters("smoke", "design") | change).jobs()
    assert "\n" not in str(caught.value)


def test_a_network_may_start_from_weights(tmp_path):
    given = {"name": "tuned", "model": "timm:resnet18", "input_size": 64, "weights": "imagenet"}
    job, *_ = stages.check_stage("design", stages.parameters("smoke", "design") | {"networks": [given]}).jobs()
    model = job.config.model
    assert (job.name, model.input_size, model.weights) == ("tuned", 64, "imagenet")
    with pytest.raises(InputError, match="weights is 'nowhere'"):
        wrong = {"networks": [given | {"weights": "nowhere"}]}
        stages.check_stage("design", stages.parameters("smoke", "design") | wrong).jobs()
