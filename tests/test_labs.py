"""The labs: two versions from one notebook; the solution gets every point, the blank none, and plausible mistakes none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from fer_study import audit, cli, plots
from fer_study.analysis import metrics
from fer_study.book import execute
from fer_study.book.labs import comparison, confidence, crowd, first, looks, marking, versions, weights
from fer_study.book.labs import leakage as lab
from fer_study.data.labels import FER2013
from fer_study.settings.errors import InputError

LABS = {
    "00_first": first,
    "01_leakage": lab,
    "02_comparison": comparison,
    "03_confidence": confidence,
    "04_crowd": crowd,
    "05_weights": weights,
    "06_looks": looks,
}
SMALL = {
    "00_first": {"faces_to_draw": 600},
    "01_leakage": {"faces_to_draw": 700, "seeds": [0]},
    "02_comparison": {},
    "03_confidence": {},
    "04_crowd": {"faces_to_draw": 700},
    "05_weights": {},
    "06_looks": {"faces_to_draw": 700},
}


@pytest.fixture
def shown(monkeypatch):
    """What the checks say."""
    said: list[str] = []

    class Said(marking.Mark):
        def __new__(cls, points: int, text: str) -> Said:
            said.append(text)
            return super().__new__(cls, points, text)

    monkeypatch.setattr(marking, "Mark", Said)
    return said


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The colleague's set, as the lab makes it, but smaller."""
    old = os.environ.get("FER_STUDY_RUNS")
    os.environ["FER_STUDY_RUNS"] = str(tmp_path_factory.mktemp("runs"))
    yield lab.make_world(1500).leaky
    os.environ.pop("FER_STUDY_RUNS")
    if old is not None:
        os.environ["FER_STUDY_RUNS"] = old


@pytest.fixture(scope="module")
def experiment():
    """Predictions of three seeds on 400 images, of which 100 leaked; an image that is hard is hard for all."""
    rng = np.random.default_rng(0)
    labels, rows = np.tile(rng.integers(0, 7, 400), 3), np.tile(np.arange(400), 3)
    leaked, easy = rows < 100, np.tile(rng.random(400) < 0.6, 3)

    def answers(share: np.ndarray) -> np.ndarray:
        right = np.where(rng.random(1200) < 0.05, ~easy, easy) | (rng.random(1200) < share)
        return np.eye(7, dtype=np.float32)[np.where(right, labels, (labels + 1) % 7)]

    return lab.Experiment(answers(0.5 * leaked), answers(0 * leaked), labels, rows, leaked, ([], []))


def test_the_figure_of_the_experiment_says_what_its_shares_are_of(experiment):
    ax = plots.score_intervals(lab.accuracies(experiment))
    assert len(ax.texts) == 6 and all(" images" in text.get_text() for text in ax.texts)


def points(name: str, answer: object, *data: object, of=lab) -> int:
    sheet = marking.Sheet(of.QUESTIONS)
    sheet.check(name, answer, *data)
    return sheet.points


def run(name: str, version: str, folder: Path, parameters: dict | None = None) -> nbformat.NotebookNode:
    """Execute a version of a lab and give it back with its outputs."""
    path = folder / f"{version}.ipynb"
    path.write_text(versions.as_text(versions.version(versions.SOURCES / f"{name}.ipynb", version)))
    done = path.with_name(f"{version}.done.ipynb")
    papermill.execute_notebook(path, done, parameters or SMALL[name], kernel_name="python3", progress_bar=False)
    return nbformat.read(done, as_version=4), versions.score(done)


def test_every_lab_is_tested_here():
    assert [path.stem for path in versions.sources()] == list(LABS)


@pytest.mark.parametrize("name", LABS)
def test_two_versions_from_one_source(name):
    lab, source = LABS[name], nbformat.read(versions.SOURCES / f"{name}.ipynb", as_version=4)
    tags = {cell.id: set(cell.metadata.get("tags", [])) for cell in source.cells}
    for version, other in versions.LEFT_OUT.items():
        notebook = versions.version(versions.SOURCES / f"{name}.ipynb", version)
        nbformat.validate(notebook)
        assert [cell.id for cell in notebook.cells] == [name for name, own in tags.items() if other not in own]
        assert notebook.metadata.fer_study.version == version
        assert not any("](../" in cell.source or "{cite" in cell.source for cell in notebook.cells), (
            "dead outside of the book"
        )
    checks = [cell.source for cell in source.cells if "check" in cell.metadata.get("tags", [])]
    assert [text.split('"')[1] for text in checks] == list(lab.QUESTIONS), "every question is checked once, in order"
    assert all("None" in c.source for c in source.cells if "student" in c.metadata.get("tags", []))
    assert all("hide-cell" in own or "remove-cell" in own for own in tags.values() if "solution" in own)


@pytest.mark.parametrize("name", LABS)
def test_solution_gets_every_point_and_blank_none(name, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "runs"))
    full = sum(question.points for question in LABS[name].QUESTIONS.values())
    notebook, said = run(name, "solution", tmp_path)
    assert said == f"{full} of {full} points"
    blank, said = run(name, "student", tmp_path)
    assert said == f"0 of {full} points"
    texts = ["".join(o.get("data", {}).get("text/markdown", "")) for c in blank.cells for o in c.get("outputs", [])]
    assert sum("nothing filled in yet" in text for text in texts) == len(LABS[name].QUESTIONS)
    assert not any("error" in o.output_type for n in (notebook, blank) for c in n.cells for o in c.get("outputs", []))


class Broken:
    """An answer that fails when it is read."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("no array")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None


NONSENSE = [
    None, "many", "", 10**400, float("nan"), float("inf"), -1, 3.7, True, 1j, (), [], {}, set(), {"z"}, {"b": 1}, b"bce",
    [None], [[1, 2], [3]], [{"b"}], np.zeros(3), np.zeros((2, 2)) * np.nan, np.array("x"), np.zeros(10**6, bool), print,
    pd.DataFrame(), pd.Series(["a", 1]), pd.NaT, np.datetime64("2020-01-01"), Broken(), object(),
]  # fmt: skip


def test_nonsense_gets_nothing_and_never_fails(faces, experiment, shown):
    fer2013 = {"with_copy": 314, "images": 3589}
    data = {"6": (experiment,), "7": (experiment,), "8": (faces, 0.9), "9": (experiment, fer2013), "10": ()}
    expected = {name: q.expected(*data.get(name, (faces,))) for name, q in lab.QUESTIONS.items()}
    for name, right in expected.items():
        tolerance = lab.QUESTIONS[name].tolerance
        assert marking.fault(right, right, tolerance) is None
        for answer in NONSENSE:
            assert marking.fault(answer, right, tolerance), f"question {name}: {answer!r}"
        if isinstance(right, np.ndarray) and right.dtype == float:
            assert marking.fault(right + 0.9 * tolerance, right, tolerance) is None
            assert marking.fault(right + 1.1 * tolerance + 1e-6, right, tolerance)
            assert np.isfinite(right).all()
    assert points("1", None, faces) == points("10", {"b", "c"}) == 0
    assert points("10", {"b", "c", "e"}) == 2 and len(shown) == 3


def test_a_check_never_tells_the_answer(faces, shown):
    right = lab.QUESTIONS["5"].expected(faces)
    assert points("5", int(right) + 1, faces) == 0 and points("5", int(right), faces) == 2
    assert str(int(right)) not in shown[0].replace("of 2 points", "").replace("Question 5: 0", "")


def test_the_latest_answer_counts(shown):
    sheet = marking.Sheet(lab.QUESTIONS)
    sheet.check("10", {"b", "c", "e"})
    assert sheet.points == 2 and sheet.full == 2 * len(lab.QUESTIONS)
    sheet.check("10", {"a"})
    sheet.summary()
    assert sheet.points == 0 and shown[-1] == f"**0 of {sheet.full} points**"


def test_the_planted_truth(faces):
    origin, kind = faces.truth["duplicate_of"], faces.truth["kind"]
    copies = np.flatnonzero(origin >= 0)
    assert (origin[origin[copies]] == -1).all(), "no copy of a copy"
    same = (faces.images[copies] == faces.images[origin[copies]]).all(axis=(1, 2, 3))
    assert ((kind[copies] == 1) <= same).all() and same.mean() < 0.7 and (kind[origin < 0] == 0).all()
    exact = audit.has_copy(faces)
    assert (exact <= lab.leaked(faces)).all() and 0 < exact.sum() < lab.leaked(faces).sum()
    people = faces.attributes["person"].to_numpy()
    assert not set(people[faces.split == "train"]) & set(people[faces.split == "test"])


def test_worlds_differ_in_the_leaked_copies_only(runs_folder):
    leaky, clean = lab.make_world(900)
    differ = leaky.truth["duplicate_of"] != clean.truth["duplicate_of"]
    assert (leaky.split == clean.split).all() and not (differ & (leaky.split == "test")).any()
    for a, b in ((leaky.images, clean.images), (leaky.labels[:, None], clean.labels[:, None])):
        assert (a[~differ] == b[~differ]).all()
    assert not lab.leaked(clean).any() and lab.leaked(leaky).sum() == round(0.25 * (leaky.split == "test").sum())
    assert leaky.fingerprint != clean.fingerprint == lab.make_world(900).clean.fingerprint


def test_plausible_mistakes_about_copies(faces, shown):
    group, test = audit.copy_groups(faces.images), faces.split == "test"
    right = test & np.isin(group, group[~test])
    assert points("1", right, faces) == 2
    inside = test & (np.bincount(group)[group] > 1)
    for wrong in (inside, right[test], right.astype(int), np.bincount(group)[group] > 1, lab.leaked(faces)):
        assert points("1", wrong, faces) == 0
    labels = pd.Series(faces.labels)
    assert points("2", labels[test].groupby(labels[test]).apply(lambda s: right[s.index].mean()), faces) == 2
    of_all = np.array([right[faces.labels == k].mean() for k in range(7)])
    of_leaked = np.bincount(faces.labels[right], minlength=7) / right.sum()
    for wrong in (of_all, of_leaked, np.bincount(faces.labels[right], minlength=7)):
        assert points("2", wrong, faces) == 0

    by_group = pd.DataFrame({"group": group, "label": faces.labels, "test": test, "row": np.arange(len(test))})
    met = by_group[test].merge(by_group[~test], on="group")
    other = met[met["label_x"] != met["label_y"]]
    images = other["row_x"].nunique()
    assert points("5", images, faces) == points("5", np.float64(images), faces) == 2
    everywhere = by_group.merge(by_group, on="group")
    pairs = (everywhere["label_x"] != everywhere["label_y"]).sum()
    for wrong in (pairs, pairs / 2, everywhere[everywhere["label_x"] != everywhere["label_y"]]["row_x"].nunique()):
        assert points("5", int(wrong), faces) == 0


def test_plausible_mistakes_about_thresholds(faces, shown):
    pairs, truth = audit.near_pairs(faces.images, 0.8), lab.leaked(faces)
    origin, test = faces.truth["duplicate_of"], faces.split == "test"
    root = np.where(origin < 0, np.arange(len(origin)), origin)

    def of_pairs(t: float, crossing: bool) -> tuple[float, float]:
        kept = pairs[pairs["correlation"] >= t]
        first, second = kept["first"].to_numpy(), kept["second"].to_numpy()
        keep = test[first] != test[second] if crossing else np.full(len(first), True)
        right = root[first[keep]] == root[second[keep]]
        planted = np.isin(origin, np.flatnonzero(test)).sum()
        return right.mean(), right.sum() / planted

    def of_images(t: float) -> tuple[float, float]:
        found = audit.has_copy(faces, threshold=t, pairs=pairs)
        return (found & truth).sum() / found.sum(), (found & truth).sum() / truth.sum()

    good = np.array([of_images(t) for t in (0.99, 0.95, 0.85)])
    assert points("3", good, faces) == 2
    for wrong in (good[::-1], good[:, ::-1], good.T, *([of_pairs(t, c) for t in (0.99, 0.95, 0.85)] for c in (True, False))):
        assert points("3", wrong, faces) == 0
    curve = [(t, *of_images(t)) for t in np.arange(80, 100) / 100]
    best = min(t for t, precision, _ in curve if precision >= 0.95)
    assert points("4", best, faces) == points("4", np.array(best), faces) == 2
    for wrong in (0.95, max(t for t, precision, _ in curve if precision >= 0.95), best - 0.01):
        assert points("4", wrong, faces) == 0

    train = faces.split == "train"
    keep = {
        t: train & ~audit.has_copy(faces, ("train",), ("validation", "test"), threshold=t, pairs=pairs) for t in (0.9, 1.0)
    }
    assert points("8", keep[0.9], faces, 0.9) == 2
    exact_only = train & ~audit.has_copy(faces, ("train",), ("validation", "test"))
    test_only = train & ~audit.has_copy(faces, ("train",), ("test",), threshold=0.9, pairs=pairs)
    for wrong in (exact_only, test_only, keep[0.9] | ~train, ~keep[0.9], keep[0.9][train]):
        assert points("8", wrong, faces, 0.9) == 0


def test_plausible_mistakes_about_the_worth(experiment, shown):
    e, fer2013 = experiment, {"with_copy": 314, "images": 3589}
    both = [logits.argmax(axis=1) == e.labels for logits in (e.with_copies, e.without_copies)]
    gain = 100 * (both[0].astype(float) - both[1])
    right = np.array([gain.mean(), gain[e.leaked].mean(), gain[~e.leaked].mean()])
    one_network = [100 * both[0].mean(), 100 * both[0][e.leaked].mean(), 100 * both[0][~e.leaked].mean()]
    leaked_or_not = 100 * (both[0][e.leaked].mean() - both[0][~e.leaked].mean())
    assert points("6", right, e) == points("6", right.tolist(), e) == 2
    for wrong in (-right, right / 100, right[[0, 2, 1]], one_network, [right[0], leaked_or_not, right[2]]):
        assert points("6", wrong, e) == 0

    def intervals(groups: bool, paired: bool, seed: int = 0) -> np.ndarray:
        rows = []
        for part in (e.leaked, ~e.leaked):
            a, b, labels = (x[part] for x in (e.with_copies, e.without_copies, e.labels))
            more = {"groups": e.rows[part] if groups else None, "repetitions": 4000, "seed": seed}
            if paired:
                found = metrics.paired_bootstrap_difference(a, b, labels, **more)
                rows.append([found.low, found.high])
            else:
                one, two = (metrics.bootstrap_interval(x, labels, ["accuracy"], **more).loc["accuracy"] for x in (a, b))
                rows.append([one["low"] - two["high"], one["high"] - two["low"]])
        return 100 * np.array(rows)

    assert points("7", intervals(True, True), e) == points("7", intervals(True, True, seed=1), e) == 2
    for wrong in (intervals(True, False), intervals(False, False), intervals(False, True), intervals(True, True) / 100):
        assert points("7", wrong, e) == 0
    share = 314 / 3589
    excess = np.array([share * right[1], share * right[1] + (1 - share) * right[2]])
    assert points("9", excess, e, fer2013) == 2
    for wrong in (excess[0], excess[::-1], [excess[0], right[0]], excess / 100, excess + share * right[2]):
        assert points("9", wrong, e, fer2013) == 0
    for wrong in ({"a", "b", "c", "e"}, {"b", "c"}, ["b", "c", "e"], "bce", {"B", "C", "E"}):
        assert points("10", wrong) == 0


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A lab of three cells, and folders of its own."""
    for name, folder in (("SOURCES", "sources"), ("WORK", "labs"), ("PAGES", "book")):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(versions, name, tmp_path / folder)
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    write_lab(tmp_path / "sources" / "01_small.ipynb")
    return tmp_path


def write_lab(path: Path, answer: str = "x = 2") -> None:
    tags = [("n = 1", ["parameters"]), ("x = None", ["student"]), (answer, ["solution"])]
    tags.append(("from IPython.display import Markdown\nMarkdown(f'**{x} of 2 points**')", ["score"]))
    cells = [nbformat.v4.new_code_cell(s, id=f"c{i}", metadata={"tags": t}) for i, (s, t) in enumerate(tags)]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))


def test_worked_notebooks_are_kept(place, caplog):
    assert cli.main(["labs"]) == 0
    student, solution = (place / "labs" / name / "01_small.ipynb" for name in ("student", "solution"))
    assert "x = None" in student.read_text() and "x = 2" not in student.read_text() and "x = 2" in solution.read_text()
    executed = json.loads(student.read_text())
    executed["cells"][0]["execution_count"] = 3
    student.write_text(json.dumps(executed))
    write_lab(place / "sources" / "01_small.ipynb", "x = 1 + 1")
    assert cli.main(["labs"]) == 0 and "1 + 1" in solution.read_text()
    assert json.loads(student.read_text())["cells"][0]["execution_count"] is None, "looked at, not worked in: written anew"
    mine = student.read_text().replace("x = None", "x = 17")
    student.write_text(mine)
    with caplog.at_level("INFO"):
        assert cli.main(["labs"]) == 0
    assert student.read_text() == mine and "labs/student/01_small.ipynb was worked in and is kept" in caplog.text
    solution.write_text("no notebook")
    assert cli.main(["labs"]) == 0 and solution.read_text() == "no notebook"


def test_pages_and_rehearsal(place, caplog, monkeypatch):
    page = place / "book" / "01_small.ipynb"
    with caplog.at_level("INFO"):
        assert cli.main(["labs", "--pages"]) == 0
        assert "lab 01_small: 2 of 2 points in" in caplog.text
        before = page.stat().st_mtime_ns
        monkeypatch.setattr(execute, "attempts", lambda *_: pytest.fail("executed again"))
        assert cli.main(["labs", "--pages"]) == 0
    assert page.stat().st_mtime_ns == before and "lab 01_small is up to date" in caplog.text
    monkeypatch.undo()


def test_a_failing_solution_fails(place, caplog):
    write_lab(place / "sources" / "01_small.ipynb", "raise ValueError('wrong')")
    assert cli.main(["labs", "--pages"]) == 1 == cli.main(["labs", "--rehearse"])
    with caplog.at_level("ERROR"):
        caplog.clear()
        assert cli.main(["labs", "--pages", "--rehearse"]) == 1 and len(caplog.records) == 2, "both are done"
    assert not list((place / "book").iterdir()) and "01_small.ipynb: cell 2 failed with ValueError: wrong" in caplog.text


def test_a_lab_without_parameters_is_refused(place):
    path = place / "sources" / "01_small.ipynb"
    path.write_text(path.read_text().replace('"parameters"', '"other"'))
    with pytest.raises(InputError, match="no cell is tagged 'parameters'"):
        versions.pages()


@pytest.fixture(scope="module")
def data():
    """Four networks with three trainings each, which scatter."""
    rng = np.random.default_rng(3)
    easy = rng.random(600) < 0.7
    levels = {"EmotionCNN": 0.1, "CNN + fixed kernels": 0.12, comparison.FIRST: 0.2, comparison.SECOND: 0.15}
    right = {
        name: np.where(rng.random((3, 600)) < 0.15, ~easy, easy) & (rng.random((3, 600)) > level)
        for name, level in levels.items()
    }
    return comparison.Predictions(right, rng.random(600) < 0.1)


def test_plausible_mistakes_about_two_networks(data, shown):
    old, new = (1.0 * data.right[name] for name in (comparison.FIRST, comparison.SECOND))
    d, root, clean = new[0] - old[0], 600**0.5, ~data.has_copy
    apart = (old[0].var(ddof=1) + new[0].var(ddof=1)) ** 0.5 / root
    ends, by_seed = np.array([-1.96, 1.96]), 100 * (new - old).mean(axis=1)
    alone, paired = old[0].mean() + ends * old[0].std() / root, d.mean() + ends * d.std() / root
    over_seeds = by_seed.mean() + np.array([-1, 1]) * 4.302653 * by_seed.std(ddof=1) / 3**0.5
    spread = np.mean([(100 * rows.mean(axis=1)).var(ddof=1) for rows in data.right.values()])
    counts = [((old[0] == 1) & (new[0] == 0)).sum(), ((old[0] == 0) & (new[0] == 1)).sum()]
    whole, rest = 100 * (new.mean() - old.mean()), 100 * (new[:, clean].mean() - old[:, clean].mean())
    answers = {  # question -> a right answer, and wrong ones
        "1": ([old.mean(axis=1), new.mean(axis=1)], [new.mean(axis=1), old.mean(axis=1)], [old.mean(), new.mean()]),
        "2": (alone, 100 * alone, alone[::-1]),
        "3": ([100 * apart, 100 * d.std() / root], [apart, d.std() / root], [100 * d.std() / root, 100 * apart]),
        "4": (counts, counts[::-1], [sum(counts)] * 2),
        "5": (100 * paired, 100 * (d.mean() + ends * apart), -100 * paired, paired),
        "7": (over_seeds, by_seed.mean() + ends * by_seed.std(ddof=1) / 3**0.5, over_seeds / 100, -over_seeds[::-1]),
        "8": (np.ceil(15.68 * spread), np.ceil(15.68 * spread**0.5), np.ceil(7.84 * spread)),
        "9": ([whole, rest], [whole, whole], [-whole, -rest]),
        "10": ({"b", "d", "f"}, {"a", "b", "d", "f"}, {"b", "d"}),
    }
    for name, (good, *bad) in answers.items():
        given = () if name == "10" else (data,)
        assert points(name, good, *given, of=comparison) == 2, name
        assert [points(name, answer, *given, of=comparison) for answer in bad] == [0] * len(bad), name


def test_false_alarms_are_counted_within_networks(data, shown):
    same = {name: np.repeat(rows[:1], 3, axis=0) for name, rows in data.right.items()}
    quiet = comparison.Predictions(same, data.has_copy)
    assert points("6", 0, quiet, of=comparison) == 2 and points("6", 12, quiet, of=comparison) == 0
    failed = {name: rows & [[True], [True], [False]] for name, rows in same.items()}
    assert points("6", 8, comparison.Predictions(failed, data.has_copy), of=comparison) == 2


def test_hints_come_one_after_the_other_and_a_right_answer_says_why(data, shown):
    sheet, question = marking.Sheet(comparison.QUESTIONS), comparison.QUESTIONS["4"]
    for answer in (None, [0, 1], [0, 2], [0, 3], comparison._disagreements(data)):
        sheet.check("4", answer, data)
    said = [[i for i, hint in enumerate(question.hints) if hint in text] for text in shown]
    assert said == [[], [0], [0, 1], [0, 1], []], "those that were earned stay"
    assert [question.because in text for text in shown] == [False] * 4 + [True]


def test_the_story_of_the_second_lab_is_that_of_its_records():
    """What its text says: the scores of the colleague, and that one interval excludes zero and the other does not."""
    data = comparison.load()
    first, second = (data.right[name][0].mean() for name in (comparison.FIRST, comparison.SECOND))
    assert (round(100 * first, 1), round(100 * second, 1)) == (66.4, 63.6)
    assert comparison._paired(data)[1] < 0 < comparison._over_seeds(data)[1]
    assert (len(data.has_copy), data.has_copy.sum()) == (3589, 314)
    assert comparison._false_alarms(data) >= 2 and 15 < comparison._seeds_needed(data) < 30
    assert len(comparison.records()) == 12 and all(len(q.hints) >= 2 for q in comparison.QUESTIONS.values())


@pytest.fixture(scope="module")
def splits():
    """A network that is too sure, on two splits: rows are drawn from its probabilities, then made sharper."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(2):
        logits = rng.normal(0, 1.5, (800, 7))
        labels = (softmax(logits, axis=1).cumsum(axis=1) > rng.random((800, 1))).argmax(axis=1)
        found.append(confidence.Predictions(log_softmax(1.6 * logits, axis=1), labels))
    return found


def test_plausible_mistakes_about_confidence(splits, shown):
    validation, test = splits
    p, t = softmax(test.logits, axis=1), confidence.best_temperature(validation)
    assert t == pytest.approx(1.6, abs=0.15)
    sure, right, images = p.max(axis=1), p.argmax(axis=1) == test.labels, np.arange(800)

    def error(p: np.ndarray) -> float:
        bins = pd.cut(p.max(axis=1), np.linspace(0, 1, 11), right=False)
        gaps = pd.Series((p.argmax(axis=1) == test.labels) - p.max(axis=1)).groupby(bins, observed=True)
        return 100 * float((gaps.mean().abs() * gaps.size()).sum() / len(p))

    after, best = softmax(test.logits / t, axis=1), confidence.best_temperature(test)
    losses = [log_loss(test.labels, x, labels=range(7)) for x in (p, after)]
    order = np.argsort(-sure)
    accuracy = right[order].cumsum() / np.arange(1, 801)
    of_label = 1 - softmax(validation.logits / t, axis=1)[images, validation.labels]
    held, plain = (1 - x <= np.sort(of_label)[720] for x in (after, p))
    covered = held[images, test.labels]
    by_class = np.array([covered[test.labels == k].mean() for k in range(7)])
    both, alone = (validation, test), (test,)
    answers = {  # question -> what it is about, a right answer, and wrong ones
        "1": (alone, [sure.mean(), right.mean()], [right.mean(), sure.mean()], [p.mean(), right.mean()]),
        "2": (alone, error(p), error(p) / 100, error(after)),
        "3": ((validation,), t, 1 / t, t + 0.1),
        "4": (both, [[error(p), losses[0]], [error(after), losses[1]]], [[error(after), losses[1]], [error(p), losses[0]]]),
        "5": (both, 0, 1),
        "6": (alone, error(softmax(test.logits / best, axis=1)), error(p)),
        "7": ((test, 0.8), np.flatnonzero(accuracy >= 0.8).max() / 800 + 1 / 800, right.mean(), 0.8),
        "8": (
            both,
            [covered.mean(), held.sum(axis=1).mean()],
            [plain[images, test.labels].mean(), plain.sum(axis=1).mean()],
        ),
        "9": (both, by_class, by_class[::-1], np.full(7, covered.mean())),
        "10": ((), {"b", "c", "e"}, {"b", "c", "d"}),
    }
    assert len(answers) == len(confidence.QUESTIONS)
    for name, (given, good, *bad) in answers.items():
        assert points(name, good, *given, of=confidence) == 2, name
        assert [points(name, answer, *given, of=confidence) for answer in bad] == [0] * len(bad), name
    assert 0.87 < covered.mean() < 0.95


def test_the_story_of_the_third_lab_is_that_of_its_record():
    validation, test = confidence.load()
    sure, right = confidence._sure_and_right(test)
    (error, loss), (error_after, loss_after) = confidence._before_and_after(validation, test)
    assert sure > right + 0.03 and error_after < error and loss_after < loss
    assert confidence._cheated(test) < error_after
    covered, size = confidence._covered(validation, test)
    by_class = confidence._covered_by_class(validation, test)
    assert (
        abs(covered - 0.9) < 0.02 and 2 < size < 3 and by_class.argmin() == FER2013.index("disgust") and by_class.min() < 0.6
    )
