"""Every notebook runs as it is opened, and with the least that can be asked of it; cells are run here, without a kernel."""

from __future__ import annotations

import json
import re
import shutil

import matplotlib
import matplotlib.pyplot as plt
import pytest

from dataset_trees import FACES, LABELS, encoded, put
from fer_study import cli, store
from fer_study.audit import tables
from fer_study.book import execute
from fer_study.book import notebook as page
from fer_study.jobs import editions, plan, stages
from fer_study.settings import experiment
from notebook_cells import run_cell

NOTEBOOKS = sorted(path.stem for path in execute.NOTEBOOKS.glob("*.ipynb"))
METHODS = [name for name in NOTEBOOKS if name.startswith("method_")]
ALONE = ["gallery", "peers", "twin", "twin_networks", "08_findings", *METHODS]
"""Notebooks of one edition, or of drawn faces alone."""

ONE = {"model": "emotion_cnn"}
LEAST = [
    ("01_dataset_audit", {"near_threshold": 1.0}),
    ("02_class_weighting", ONE | {"arms": {"none": {}}, "small_arms": {}}),
    ("03_model_comparison", {"models": ["emotion_cnn"], "baseline": False}),
    ("04_ablations", ONE | {"arms": {"full": {}}}),
    ("05_label_distribution", ONE | {"targets": ["labels"]}),
    ("06_cross_dataset", ONE | {"sources": ["synthetic-wild"], "targets": ["synthetic-wild"]}),
    ("07_error_analysis", {"models": ["emotion_cnn"]}),
    ("design", {"networks": [{"name": "one", "model": "emotion_cnn"}]}),
    ("gallery", {"networks": [{"name": "emotion_cnn", "size": 16, "timed": False}]}),
    ("emonext", ONE | {"input_size": 16, "arms": {}}),
    ("initial_weights", ONE | {"input_size": 16, "arms": {}}),
]  # fmt: skip


@pytest.fixture(scope="module")
def one_store(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def run(one_store, monkeypatch):
    """Run the cells of a notebook with other values of its parameters, in the folder of the notebooks."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(one_store))
    monkeypatch.chdir(execute.NOTEBOOKS)
    matplotlib.use("agg")

    def cells(name: str, given: dict) -> dict:
        notebook, said = execute.NOTEBOOKS / f"{name}.ipynb", []
        monkeypatch.setattr(page, "show", said.append)
        names = {"display": said.append, "said": said}
        for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                said.append(run_cell("".join(cell["source"]), f"{name}, cell {number}", names))
                if "parameters" in cell["metadata"].get("tags", []):
                    assert set(given) <= set(names)
                    names.update(given)
        plt.close("all")
        return names

    return cells


def as_read(shown: object) -> str:
    """What a reader sees of it."""
    html = shown._repr_html_() if hasattr(shown, "_repr_html_") else str(shown)
    return re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name not in ALONE])
@pytest.mark.parametrize("edition", ["smoke", "fer2013"])
def test_without_records(run, monkeypatch, name, edition):
    """As opened in JupyterLab with nothing trained, and with another edition and nothing else changed."""
    monkeypatch.setattr(plan, "live_jobs", lambda _, jobs: [job for job in jobs if job.on_page])
    names = run(name, {"edition": edition})
    assert names["page"].edition == edition


@pytest.mark.parametrize(("name", "given"), LEAST, ids=lambda value: value if isinstance(value, str) else "")
def test_the_least_that_can_be_asked_for(run, name, given):
    names = run(name, given)
    assert names["page"] and all(names["page"].records)


@pytest.mark.parametrize("name", ALONE)
def test_as_it_is_opened(run, name):
    assert run(name, {})["page"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_parameter_says_what_it_may_be(name):
    cells = json.loads((execute.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert all(re.fullmatch(r"\w+ = .+  # .{10,}\n?", line) for line in cell["source"]), cell["source"]


@pytest.fixture
def ours(tmp_path, monkeypatch, run):
    """Makes an edition, ``ours``, of pictures in folders ``split/class``."""

    def make(pictures: dict[str, bytes], classes: str = "7") -> None:
        for place, picture in pictures.items():
            put(tmp_path / "data" / place, picture)
        shutil.copytree(experiment.PARAMS, tmp_path / "params")
        shutil.copytree(experiment.PARAMS / "smoke", tmp_path / "params" / "ours")
        text = f"title: Ours\ndata: {{dataset: folders, classes: {classes}}}\nlive: {{recipe: smoke, width: 0.25}}\n"
        (tmp_path / "params" / "ours" / "edition.yaml").write_text(text)
        for module in (stages, editions, execute):
            monkeypatch.setattr(module, "PARAMS", tmp_path / "params")
        for function in (editions.editions, editions.load_edition, stages.parameters):
            monkeypatch.setattr(function, "__defaults__", (tmp_path / "params",))
        monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path / "data"))

    return make


@pytest.fixture
def without_validation(ours):
    """An edition of class folders below ``train`` and ``test``."""
    pictures = {
        f"{'test' if number % 4 == 0 else 'train'}/{label}/{number}.png": encoded(face)
        for number, (face, label) in enumerate(zip(FACES, LABELS, strict=True))
        if label != "contempt"
    }
    ours(pictures | {"test/happy/one.png": encoded(FACES[0][::-1])})


def test_pages_of_classes_of_ones_own(ours, run):
    """Two classes that no dataset of faces has, and not in the order of the alphabet."""
    parts = ("train", "validation", "test", "train")
    splits = {number: parts[number % 4] for number in range(len(FACES))}
    ours(
        {
            f"{split}/{('Wide awake', 'calm')[number % 3 == 0]}/{number}.png": encoded(FACES[number])
            for number, split in splits.items()
        },
        '["wide awake", calm]',
    )
    for name, given in LEAST[:4] + LEAST[6:8]:
        page = run(name, given | {"edition": "ours"})["page"]
        assert page.classes == ("wide awake", "calm"), name
        for record in (record for record in page.records if record and name[:2].isdigit()):
            assert {view.shape[1] for view in record.predictions.views.values()} == {2}
            scores = record.metrics["last_single"]["test"]
            assert 0 <= scores["recall_calm"] <= 1 and "recall_happy" not in scores
    assert tables.classes_of(page.audits[0].audit if page.audits else {"classes": ["wide awake", "calm"]})[1] == "calm"


def test_nothing_is_best_where_there_is_no_validation(run, without_validation, capfd):
    """No view of weights that nothing chose, and no NaN on a page or in the progress."""
    assert cli.main(["train", "ours", "03", "-p", "models", "[emotion_cnn]", "-p", "baseline", "false"]) == 0
    assert "nan" not in capfd.readouterr().err
    for name, given in LEAST[1:5] + LEAST[6:8]:
        names = run(name, given | {"edition": "ours"})
        texts = [as_read(shown) for shown in names["said"]]
        assert [text for text in texts if re.search(r"\bnan\b", text, re.IGNORECASE)] == [], name
    (record,) = names["page"].records
    assert {view.split("_")[0] for view in record.metrics} == {"last", "mean"}, "nothing chose the best"
    assert all("validation" not in subsets for subsets in record.metrics.values())
    assert record.weights("last").is_file() and not record.weights("best").exists()
    assert store.lookup(record.key).history["validation_loss"].isna().all()


def test_the_files_that_contributors_are_sent_to_are_there():
    text = (execute.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", text)
    assert len(named) > 20 and [name for name in named if not (execute.ROOT / name).exists()] == []
    assert "book/fer2013/" in named and "`fer-study execute fer2013` writes them" in text.replace("\n", " ")
