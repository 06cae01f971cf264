"""Submissions get the marks that their answers deserve, whatever else is in the file, and none of them stops the others."""

from __future__ import annotations

import copy
import csv
import importlib.util
import json
from pathlib import Path

import nbformat
import numpy as np
import pytest

from fer_study import cli
from fer_study.book.labs import answers, grading, marking, nbgrader, submission, versions
from fer_study.settings.errors import InputError

SET_UP = """
import numpy as np
from fer_study.book.labs.marking import Question, Sheet

numbers = np.random.default_rng(world_seed).normal(0, 10, 20)
sheet = Sheet({
    "1": Question(2, lambda x: np.array(x.sum()), 0.01),
    "2": Question(2, lambda: frozenset("ac")),
    "3": Question(2, lambda x: x > x.mean()),
    "4": Question(4, lambda x: np.array([x.min(), x.max()]), 0.01),
})
"""
QUESTIONS = {  # blank, answer, check
    "1": ("total = None", "total = numbers.sum()", 'sheet.check("1", total, numbers)'),
    "2": ("words = None", 'words = {"a", "c"}', 'sheet.check("2", words)'),
    "3": ("m = numbers.mean()\nabove = None", "m = numbers.mean()\nabove = numbers > m", 'sheet.check("3", above, numbers)'),
    "4": ("ends = None", "ends = [numbers.min(), numbers.max() + m - m]", 'sheet.check("4", ends, numbers)'),
}
FULL = {"1": 2, "2": 2, "3": 2, "4": 4}
LABS = [source.stem for source in versions.sources()]


def small_lab() -> nbformat.NotebookNode:
    cells = [("p", "world_seed = 1  # yours", ["parameters"]), ("s", SET_UP, [])]
    for name, (blank, answer, check) in QUESTIONS.items():
        cells += [(f"a{name}", blank, ["student"]), (f"b{name}", answer, ["solution"]), (f"c{name}", check, ["check"])]
    cells.append(("z", "sheet.summary()", ["score"]))
    made = [nbformat.v4.new_code_cell(text, id=name, metadata={"tags": tags}) for name, text, tags in cells]
    return nbformat.v4.new_notebook(cells=made)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A lab of four questions that takes a second."""
    folder = tmp_path_factory.mktemp("sources")
    nbformat.write(small_lab(), folder / "01_small.ipynb")
    return folder / "01_small.ipynb"


@pytest.fixture
def lab(source, monkeypatch):
    """It in place of all others."""
    monkeypatch.setattr(versions, "SOURCES", source.parent)
    return source


def handed_in(lab: Path, changed: dict[str, str | None] | None = None, before: dict[str, str] | None = None) -> dict:
    """A right submission but for cells that were changed, deleted (None) or added before another."""
    right = {f"a{name}": answer for name, (_, answer, _) in QUESTIONS.items()} | (changed or {})
    notebook = versions.version(lab, "student")
    cells = []
    for cell in notebook.cells:
        if text := (before or {}).get(cell.id):
            cells.append(nbformat.v4.new_code_cell(text))
        text = right.get(cell.id, cell.source)
        if text is not None:
            cells.append(cell | {"source": text})
    return notebook | {"cells": cells}


def with_points(notebook: dict) -> dict:
    """Outputs that say that all is right."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        data = {"text/plain": "4", "text/markdown": "**10 of 10 points**"}
        cell["outputs"] = [nbformat.v4.new_output("execute_result", data, execution_count=7)]
    return notebook


BLANK = {f"a{name}": blank for name, (blank, _, _) in QUESTIONS.items()}
WRONG = {"a1": "total = 1.5", "a2": 'words = {"a", "b"}', "a3": "m = 0\nabove = numbers < 0", "a4": "ends = [1, 2]"}
OF_SEED_1 = np.random.default_rng(1).normal(0, 10, 20)
COPIED = {
    "a1": f"total = {OF_SEED_1.sum()}",
    "a4": f"ends = [{OF_SEED_1.min()}, {OF_SEED_1.max()}]",
    "p": "world_seed = 7  # yours",
}
FORGED_CHECK = """
import fer_study.book.labs.marking as marking
marking.fault = lambda *_: None
marking.Sheet.check = lambda sheet, name, *_: 4 if name == "4" else 2
np.array_equal = lambda *_: True
"""
NONSENSE = """
get_ipython().display_formatter.format = lambda *_, **__: ({"text/plain": "sheet.full"}, {})
"""
LIAR = """
class Liar(set):
    __eq__ = lambda *_: True
    __ne__ = lambda *_: False
    __hash__ = None
    __array__ = lambda *_, **__: numbers[:0]
"""
NO_STOP = """
while True:
    try:
        while True:
            pass
    except KeyboardInterrupt:
        pass
"""
SUBMISSIONS = {  # what is handed in: changed cells, added cells; the questions that count; words of the problem
    "right": ({}, {}, "1234", ""),
    "wrong": (WRONG, {}, "", ""),
    "blank": (BLANK, {}, "", ""),
    "half": ({"a2": WRONG["a2"], "a4": BLANK["a4"]}, {}, "13", ""),
    "syntax_error": ({"a2": 'words = {"a", '}, {}, "134", "question 2: SyntaxError"),
    "error_after_the_answer": ({"a1": QUESTIONS["1"][1] + "\n1 / 0"}, {}, "1234", "question 1: ZeroDivisionError"),
    "endless_loop": ({"a2": "while True: print('x')"}, {}, "134", "question 2: over 9 s"),
    "endless_loop_that_does_not_stop": ({"a2": NO_STOP}, {}, "134", "question 2: over 9 s, and did not stop"),
    "exit": ({"a2": "exit()"}, {}, "134", "question 2: ended the kernel"),
    "two_ends": ({"a1": "import os; os._exit(0)", "a3": "quit()"}, {}, "2", "question 3: ended the kernel"),
    "no_answer_cell": ({"a3": None}, {}, "124", "a3 is missing"),
    "no_check_cell": ({"c1": None}, {}, "1234", "c1 is missing"),
    "no_set_up": ({"s": None, "p": None}, {}, "1234", "s is missing"),
    "copied_points": (BLANK, {}, "", ""),
    "forged_marks": (BLANK | {"a4": "sheet.marks = {k: 200 for k in sheet.marks}"}, {}, "", "question 4: NameError"),
    "forged_check": (WRONG, {"a1": FORGED_CHECK}, "", ""),
    "forged_data": (WRONG | {"a1": "numbers[:] = 0\ntotal = 0", "a4": "ends = [0, 0]"}, {}, "", ""),
    "changed_check": (WRONG | {"c1": 'sheet.check("1", numbers.sum(), numbers)', "s": "1"}, {}, "", "c1 was changed"),
    "liar": ({f"a{k}": f"{v} = Liar()" for k, v in zip("1234", ("total", "words", "above", "ends"), strict=True)},
             {"a1": LIAR}, "", ""),
    "nonsense": ({}, {"a3": NONSENSE}, "12", "question 3: a reply that cannot be read"),
    "added_cell": ({"a1": "total = mine()"}, {"a1": "def mine():\n    return sum(numbers)"}, "1234", ""),
    "copied_numbers": (COPIED, {}, "23", ""),
    "own_seed": ({"p": COPIED["p"]}, {}, "1234", ""),
}  # fmt: skip
NO_SUBMISSIONS = {
    "damaged.ipynb": ('{"cells": [', "no notebook that can be read"),
    "list.ipynb": ("[1]", "no notebook that can be read"),
    "other.ipynb": (nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])), "one of a lab"),
    "report.txt": ("my answers", "no notebook"),
}


@pytest.fixture(scope="module")
def graded(source, tmp_path_factory):
    """What the command writes of all submissions, some in a folder of a student: (exit code, rows by student)."""
    folder, table = tmp_path_factory.mktemp("handed_in"), tmp_path_factory.mktemp("marks") / "marks.csv"
    for i, (name, (changed, added, _, _)) in enumerate(SUBMISSIONS.items()):
        notebook = handed_in(source, changed, added)
        notebook = with_points(notebook) if name == "copied_points" else notebook
        target = folder / name / "01_small" / "01_small.ipynb" if i % 2 else folder / f"{name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(notebook))
    for name, (text, _) in NO_SUBMISSIONS.items():
        (folder / name).write_text(text)
    (folder / "nothing").mkdir()
    (folder / "right.ipynb").with_name(".hidden").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "SOURCES", source.parent)
        code = cli.main(["labs", "--grade", str(folder), "--minutes", "1.5", "--jobs", "2", "--csv", str(table)])
    with table.open(newline="") as file:
        return code, {row["student"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_a_submission_gets_the_marks_of_its_answers(graded, name):
    (_, _, right, problem), row = SUBMISSIONS[name], graded[1][name]
    wanted = {f"question_{question}": str(points * (question in right)) for question, points in FULL.items()}
    assert {column: row[column] for column in wanted} == wanted, row["problem"]
    assert (row["lab"], row["out_of"], int(row["total"])) == ("01_small", "10", sum(FULL[x] for x in right))
    assert problem in row["problem"] and (problem or not row["problem"]), row["problem"]
    assert row["seed"] == ("7" if "p" in SUBMISSIONS[name][0] and SUBMISSIONS[name][0]["p"] else "1")
    assert float(row["seconds"]) < 90


def test_what_is_no_submission_costs_a_line(graded):
    code, rows = graded
    assert code == 2 and len(rows) == len(SUBMISSIONS) + len(NO_SUBMISSIONS) + 1
    for name, (_, problem) in NO_SUBMISSIONS.items():
        row = rows[Path(name).stem]
        assert problem in row["problem"] and row["file"] == name and row["total"] == row["lab"] == "", name
    assert "no notebook" in rows["nothing"]["problem"]


def test_a_folder_that_is_not_there_or_empty_is_refused(lab, tmp_path, caplog):
    assert cli.main(["labs", "--grade", str(tmp_path / "no")]) == 2 and "no such folder" in caplog.text
    with pytest.raises(InputError, match="nothing was handed in"):
        grading.grade(str(tmp_path))
    (tmp_path / "a.txt").write_text("")
    assert cli.main(["labs", "--grade", str(tmp_path), "--csv", str(tmp_path / "no" / "x.csv")]) == 2


def test_time_that_is_over_ends_a_submission(lab, tmp_path):
    (tmp_path / "late.ipynb").write_text(json.dumps(handed_in(lab)))
    result = grading.grade_file(tmp_path / "late.ipynb", tmp_path, minutes=0)
    assert result.out_of == 10 and not any(result.points.values()) and result.problem == "question 1: over 0 minutes"


@pytest.mark.parametrize(
    "answer", [None, {"a"}, frozenset(), 3, 2.5, True, [1, 2], np.eye(2), np.array([True]), np.float32(1), "word"]
)
def test_answers_arrive_as_they_were_sent(answer):
    found = answers.decode(answers.encode(answer))
    assert found == answer if answer is None or isinstance(answer, set | frozenset) else (found == np.asarray(answer)).all()


@pytest.mark.parametrize("answer", [{1}, object(), [None], [[1], [1, 2]], 10**400])
def test_what_is_no_answer_is_not_sent(answer):
    with pytest.raises(ValueError):
        answers.encode(answer)


@pytest.mark.parametrize("text", ["", "1", "{}", "[]", '{"words": 3}', '{"array": "AAAA"}', '{"array": null}', "x" * 10**7])
def test_any_text_can_be_read_and_gets_nothing(text):
    found = answers.decode(text)
    for expected in (np.array(1.0), np.array([True]), frozenset("a")):
        assert marking.fault(found, expected, 0.1)


@pytest.mark.parametrize("name", LABS)
def test_no_name_of_a_notebook_leads_to_the_answers(name):
    """Not by a name that does not begin with an underscore."""
    text = "\n".join(step.code for step in submission.blank_steps(versions.SOURCES / f"{name}.ipynb"))
    assert f'Sheet.of("{name}")' in text and "import leakage" not in text and "QUESTIONS" not in text
    assert not any(hasattr(marking.Sheet({"1": marking.Question(2, frozenset)}), x) for x in ("questions", "hints"))
    assert "import audit" not in text, "has_copy is the answer to the first question"


@pytest.mark.parametrize("name", LABS)
def test_the_format_of_nbgrader(name):
    notebook = nbgrader.convert(versions.SOURCES / f"{name}.ipynb")
    nbformat.validate(notebook)
    roles = [cell.metadata.nbgrader for cell in notebook.cells]
    assert len({role.grade_id for role in roles}) == len(roles) and {role.schema_version for role in roles} == {3}
    checks = [cell for cell in notebook.cells if cell.metadata.nbgrader.grade]
    assert sum(cell.metadata.nbgrader.points for cell in checks) == marking.Sheet.of(name).full
    assert all(cell.metadata.nbgrader.locked for cell in checks)
    for cell in notebook.cells:
        role, tags = cell.metadata.nbgrader, cell.metadata.get("tags", [])
        assert role.solution == (not role.locked) == ("student" in tags) and role.grade == ("check" in tags)
        assert (nbgrader.BEGIN in cell.source) == (nbgrader.END in cell.source) == role.solution
    released = "\n".join(cell.source.partition(nbgrader.BEGIN)[0] for cell in notebook.cells)
    blank = versions.version(versions.SOURCES / f"{name}.ipynb", "student")
    assert released.split() == "\n".join(cell.source for cell in blank.cells).split()
    if importlib.util.find_spec("nbgrader"):
        from nbgrader.nbgraderformat import MetadataValidator

        MetadataValidator().validate_nb(notebook)


def test_sources_of_nbgrader_are_written_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(versions, "sources", lambda: [versions.SOURCES / "02_comparison.ipynb"])
    assert cli.main(["labs", "--nbgrader", str(tmp_path / "course")]) == 0
    (written,) = (tmp_path / "course").rglob("*.ipynb")
    assert written == tmp_path / "course" / "source" / "02_comparison" / "02_comparison.ipynb"
    written.write_text("mine")
    assert cli.main(["labs", "--nbgrader", str(tmp_path / "course")]) == 0 and written.read_text() == "mine"
    assert cli.main(["labs", "--nbgrader", str(written)]) == 2 and "course" in caplog.text


def test_a_check_is_worth_its_points():
    """The value of a check cell is what nbgrader counts."""
    mark = marking.Sheet({"1": marking.Question(2, lambda: frozenset("a"))}).check("1", {"a"})
    assert mark == 2 and repr(mark) == "2" and mark._repr_markdown_() == "**Question 1: 2 of 2 points**"
