"""Strict execution: wrong parameters are refused, a failed page leaves nothing, a current one is kept."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from fer_study import cli, store
from fer_study.book import execute, freshness, kernel
from fer_study.jobs import editions, plan
from fer_study.jobs.job import job_for
from fer_study.settings import experiment
from fer_study.settings.checkout import PACKAGE, code_hash
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import CostConfig, ModelConfig
from fer_study.store import as_json
from page_records import make_record

PARAMETERS = 'edition = "smoke"\nscale = 1.0\nseeds = [0]\nmodel = "cbam_cnn"\nfull = True'
EDITION = "title: Small\nnote: Of drawn faces.\ndata: {dataset: synthetic, faces: 600, style: wild}\nlive: {recipe: live}\n"
BODY = """import sys, warnings
print("edition", edition, "seeds", seeds, "scale", scale)
print("a warning of this machine", file=sys.stderr)
warnings.warn("and another one")"""


def write_notebook(path: Path, *cells: str, parameters: str = PARAMETERS) -> None:
    title = nbformat.v4.new_markdown_cell("# A page\n\n# not its title", id="title")
    head = nbformat.v4.new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]})
    body = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(cells)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[title, head, *body], metadata=metadata), path)


@pytest.fixture
def place(runs_folder, tmp_path, monkeypatch):
    """Two small notebooks and their parameters, instead of the seven of the study."""
    for name, folder in (("NOTEBOOKS", "notebooks"), ("PARAMS", "params")):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(execute, name, tmp_path / folder)
    (tmp_path / "params" / "smoke").mkdir()
    (tmp_path / "params" / "smoke" / "edition.yaml").write_text(EDITION)
    monkeypatch.setattr(execute, "PAGES", {})
    (tmp_path / "params" / "recipes").mkdir()
    shutil.copy(experiment.PARAMS / "recipes" / "smoke.yaml", tmp_path / "params" / "recipes" / "live.yaml")
    for stage in ("01_first", "02_second"):
        write_notebook(tmp_path / "notebooks" / f"{stage}.ipynb", BODY)
        (tmp_path / "params" / "smoke" / f"{stage}.yaml").write_text("seeds: [1, 2]\n")
    return tmp_path


@pytest.fixture
def never(monkeypatch):
    """Fails where anything is trained or executed."""

    def fail(*_: object) -> None:
        raise AssertionError("something was executed")

    monkeypatch.setattr(execute, "make", fail)


def page_files(place: Path) -> list[str]:
    """Everything under ``pages/`` of the store, hidden and temporary files too."""
    return sorted(p.name for p in (place / "runs" / "pages").rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"sedes": "[1]"}, "-p for 01_first: unknown parameter 'sedes'; allowed: edition, scale, seeds, model, full"),
        ({"seeds": "1"}, r"seeds is 1 \(int\), expected list"),
        ({"seeds": "[a]"}, "seeds holds 'a', expected int"),
        ({"model": "3"}, r"model is 3 \(int\), expected str"),
        ({"full": "1"}, r"full is 1 \(int\), expected bool"),
        ({"scale": "true"}, r"scale is True \(bool\), expected float"),
        ({"seeds": "[1"}, "-p seeds: not readable as YAML: while parsing a flow sequence"),
    ],
)
def test_wrong_parameters_on_the_command_line(place, never, overrides, message):
    with pytest.raises(InputError, match=message) as refusal:
        execute.run("smoke", ["01"], overrides)
    assert "\n" not in str(refusal.value)


def test_a_whole_number_is_a_number(place):
    execute.check_parameters({"scale": 2, "seeds": []}, execute.defaults(place / "notebooks" / "01_first.ipynb"), "here")


def test_wrong_parameters_in_yaml(place, never):
    path = place / "params" / "smoke" / "02_second.yaml"
    path.write_text("sedes: [1]\n")
    with pytest.raises(InputError, match=r"02_second\.yaml: unknown parameter 'sedes'; allowed: edition, scale, seeds"):
        execute.run("smoke", [], {})
    path.write_text("seeds: 1\n")
    with pytest.raises(InputError, match=r"02_second\.yaml: seeds is 1 \(int\), expected list"):
        execute.run("smoke", [], {})


def test_a_page_that_is_named_twice_is_one():
    assert execute.find_stages("smoke", ["03", "03_model_comparison", "3"]) == ["03_model_comparison"]


def test_stages_are_found_by_number_and_name(place):
    assert execute.find_stages("smoke", []) == ["01_first", "02_second"]
    assert execute.find_stages("smoke", ["2", "01_first"]) == ["02_second", "01_first"]


def test_what_the_book_leaves_out_runs_when_it_is_named(place, monkeypatch):
    (place / "params" / "smoke" / "edition.yaml").write_text(EDITION + "when_named: [02_second]\n")
    monkeypatch.setattr(execute, "PAGES", {"smoke": place / "book"})
    assert execute.find_stages("smoke", []) == ["01_first"]
    assert execute.find_stages("smoke", ["02"]) == ["02_second"]
    (one,) = execute.tasks("smoke", [], {})
    (other,) = execute.tasks("smoke", ["02"], {})
    assert one.page == place / "book" / "01_first.ipynb"
    assert other.page == place / "runs" / "pages" / "smoke" / "02_second.ipynb"


def test_parameters_cell_must_be_plain(place):
    path = place / "notebooks" / "01_first.ipynb"
    write_notebook(path, parameters="import os\nseeds = [0]")
    with pytest.raises(InputError, match="more than plain values"):
        execute.defaults(path)
    write_notebook(path, parameters="seeds = list(range(3))")
    with pytest.raises(InputError, match="more than plain values"):
        execute.defaults(path)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("seeds = [0]", id="x")]), path)
    with pytest.raises(InputError, match="no cell is tagged 'parameters'"):
        execute.defaults(path)


def test_a_finished_page(place, capsys):
    assert cli.main(["execute", "smoke", "01"]) == 0
    assert page_files(place) == ["01_first.ipynb"]
    page = place / "runs" / "pages" / "smoke" / "01_first.ipynb"
    text = page.read_text()
    notebook = nbformat.reads(text, as_version=4)
    assert nbformat.validate(notebook) is None
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert [(o.output_type, o.name) for o in outputs] == [("stream", "stdout")], "what goes to stderr does not stay"
    assert outputs[0].text == "edition smoke seeds [1, 2] scale 1.0\n"
    assert "this machine" not in "".join(o.text for o in outputs)
    assert str(place) not in text and str(Path(execute.__file__).parents[1]) not in text and sys.prefix not in text
    assert notebook.metadata.papermill.parameters == {
        "edition": "smoke", "scale": 1.0, "seeds": [1, 2], "model": "cbam_cnn", "full": True,
    }  # fmt: skip
    assert notebook.cells[0].source == "# A page: Small\n\n# not its title"
    assert [c.id for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])] == [
        "title",
        "note",
        "parameters",
        "cell-0",
    ]
    assert notebook.cells[1].source == "Of drawn faces."

    before = page.stat().st_mtime_ns
    assert cli.main(["execute", "smoke", "01"]) == 0
    assert page.stat().st_mtime_ns == before, "an up-to-date page is left alone"


@pytest.mark.parametrize(("source", "tags"), [("a = 1", []), ("a = [" + 200 * "1, " + "]", ["hide-input"])])
def test_long_parameters_are_folded(source, tags):
    cell = {"metadata": {"tags": ["injected-parameters"]}, "source": [source]}
    execute.fold_long_parameters(cell)
    assert cell["metadata"]["tags"] == ["injected-parameters", *tags]
    own = {"metadata": {}, "source": source}
    execute.fold_long_parameters(own)
    assert own == {"metadata": {}, "source": source}, "other cells stay"


@pytest.mark.parametrize(("tags", "outputs", "left_out"), [
    (["remove-if-empty"], [], True), (["remove-if-empty"], ["a figure"], False), ([], [], False),
])  # fmt: skip
def test_a_cell_that_shows_nothing_for_want_of_records_is_left_out(tags, outputs, left_out):
    cell = {"metadata": {"tags": list(tags)}, "outputs": outputs, "source": "a = 1"}
    execute.leave_out_if_empty(cell)
    assert cell["metadata"]["tags"] == [*tags, *["remove-cell"] * left_out] and cell["source"] == "a = 1"


def test_the_kernel_is_of_this_interpreter_and_quiet(place, monkeypatch, capfd):
    """Another environment may have left its own ``python3`` where kernels are looked for."""
    folder = place / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(place / "jupyter"))
    write_notebook(place / "notebooks" / "01_first.ipynb", "import sys", "print(sys.executable)")
    assert cli.main(["execute", "smoke", "01"]) == 0
    page = place / "runs" / "pages" / "smoke" / "01_first.ipynb"
    assert f"{sys.executable}\\n" in page.read_text()
    assert "WARNING" not in capfd.readouterr().err


def test_changed_parameters_go_elsewhere(place):
    published = place / "runs" / "pages" / "smoke" / "01_first.ipynb"
    published.parent.mkdir(parents=True)
    published.write_text("the published page")
    assert cli.main(["execute", "smoke", "01", "-p", "seeds", "[7]"]) == 0
    assert published.read_text() == "the published page"
    (other,) = [p for p in published.parent.glob("*.ipynb") if p != published]
    assert "seeds [7]" in other.read_text()


@pytest.mark.parametrize("edition", ["fer2013", "synthetic", "smoke"])
def test_pages_of_the_book_are_written_without_changes_only(runs_folder, edition):
    assert (
        execute.target_of(edition, "03_x", {}) == execute.PAGES.get(edition, runs_folder / "pages" / "smoke") / "03_x.ipynb"
    )
    one, other = (execute.target_of(edition, "03_x", {"seeds": seeds}) for seeds in ([1], [2]))
    assert one != other and {one.parent, other.parent} == {runs_folder / "pages" / edition}
    assert (edition == "smoke") == (edition not in execute.PAGES)


def test_a_failing_cell_leaves_nothing(place, caplog):
    write_notebook(place / "notebooks" / "01_first.ipynb", BODY, "raise ValueError('first line\\nsecond line')", "print(1)")
    assert cli.main(["execute", "smoke", "01"]) == 1
    assert page_files(place) == []
    errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert errors == ["fer-study: 01_first.ipynb: cell 4 failed with ValueError: first line second line"]


@pytest.fixture
def out_of_date(place, monkeypatch):
    """Whether the first page of ``place`` is out of date, which is up to date at first; a change has to be undone."""
    module = place / "fer_study"
    module.mkdir()
    (module / "report.py").write_text("RULE = 1\n")
    (module / "claims.csv").write_text("id,value\n")
    for name in ("given", "judge"):
        shutil.copy(experiment.PARAMS / "recipes" / "smoke.yaml", place / "params" / "recipes" / f"{name}.yaml")
    (place / "params" / "smoke" / "edition.yaml").write_text(EDITION)
    (place / "params" / "smoke" / "01_first.yaml").write_text("seeds: [1, 2]\nrecipes: [given]\n")
    parameters = PARAMETERS + '\nrecipes = ["live"]\nothers = ["synthetic-lab"]'
    write_notebook(place / "notebooks" / "01_first.ipynb", BODY, parameters=parameters)
    (place / "results" / "abc").mkdir(parents=True)
    (place / "results" / "abc" / "done").write_text("config.json 01ab\n")
    monkeypatch.setattr(freshness, "PACKAGE", place / "fer_study")
    monkeypatch.setattr("fer_study.store.published_root", lambda: place / "results")
    made = []

    def make(todo: list[execute.Task], root: str | None) -> int:
        made.extend(todo)
        return 0

    def check() -> bool:
        made.clear()
        assert cli.main(["execute", "smoke", "01"]) == 0
        return bool(made)

    monkeypatch.setattr(execute, "make", make)
    assert check()
    made[0].page.parent.mkdir(parents=True)
    made[0].page.write_text(as_json({"metadata": {"fer_study": {"content": made[0].content}}}))
    assert not check()
    return check


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("fer_study/report.py", "\n", "# a word more\n"),
        ("fer_study/claims.csv", "value", "words"),
        ("notebooks/01_first.ipynb", "and another one", "and a third"),
        ("params/smoke/edition.yaml", "faces: 600", "faces: 700"),
        ("params/smoke/edition.yaml", "Small", "Large"),
        ("params/smoke/01_first.yaml", "[1, 2]", "[1, 3]"),
        ("params/recipes/given.yaml", "rotate: 10", "rotate: 11"),
        ("params/recipes/live.yaml", "rotate: 10", "rotate: 11"),
        ("params/recipes/judge.yaml", "rotate: 10", "rotate: 11"),
        ("results/abc/done", "01ab", "02ab"),
    ],
)
def test_a_page_is_made_again_when_what_it_needs_changes(place, out_of_date, file, old, new):
    path = place / file
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    assert out_of_date(), file
    path.write_bytes(before.replace("\n", "\r\n").encode())
    assert not out_of_date(), "other line ends are no change"


def test_a_page_is_made_again_when_a_record_is_published_or_data_changes(place, out_of_date, monkeypatch):
    (place / "results" / "def").mkdir()
    (place / "results" / "def" / "done").touch()
    assert out_of_date()
    shutil.rmtree(place / "results" / "def")
    assert not out_of_date()
    monkeypatch.setattr("fer_study.data.twin.synthetic.fingerprint", lambda faces, *_: f"{faces:016d}")
    assert out_of_date(), "other faces under the same name"


def test_what_a_page_does_not_need_leaves_it_as_it_is(place, out_of_date, tmp_path, monkeypatch):
    params = place / "params"
    shutil.copytree(params / "smoke", params / "mine")
    path = params / "smoke" / "02_second.yaml"
    path.write_text(path.read_text() + "scale: 2.0\n")
    for file in ("smoke/edition.yaml", "smoke/01_first.yaml", "recipes/given.yaml"):
        (params / file).write_text("# a word\n" + (params / file).read_text())
    (place / "fer_study" / "notes.txt").write_text("not part of it")
    (place / "results" / "half").mkdir()
    assert not out_of_date()
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path))
    assert not out_of_date(), "where the data lies does not matter"


def test_a_page_without_records_is_made_again_when_they_come(runs_folder, tmp_path):
    page, record = tmp_path / "page.ipynb", make_record(tmp_path / "made", 30)
    assert not freshness.is_current(page, "c")
    page.write_text(as_json({"metadata": {"fer_study": {"content": "c", "missing": ["aaaa", record.config.key]}}}))
    assert freshness.is_current(page, "c") and not freshness.is_current(page, "d")
    (runs_folder / record.config.key).mkdir(parents=True)
    assert freshness.is_current(page, "c"), "started is not done"
    (runs_folder / record.config.key).rmdir()
    record.folder.rename(runs_folder / record.config.key)
    pending = runs_folder / record.config.key / store.PENDING
    pending.touch()
    assert freshness.is_current(page, "c"), "its maps are still to be made"
    pending.unlink()
    assert not freshness.is_current(page, "c")


def test_one_rule_says_what_is_done(runs_folder, tmp_path):
    """A cost that other code measured is none, for the job, the plan and a page that lacks it alike."""
    config = CostConfig(model=ModelConfig(name="fer48"))
    page, job, folder = tmp_path / "page.ipynb", job_for(config), runs_folder / config.key
    page.write_text(as_json({"metadata": {"fer_study": {"content": "c", "missing": [config.key]}}}))

    def answers(mark: str) -> tuple[bool, str, bool]:
        env = {"commit": "abc", "parameters": 1, "network_source": f"fer_study/models/small.py {mark}"}
        store.save_files(folder, config, env, {"cost.json": as_json({"parameters": 1})})
        return job.done, plan.table([job])["state"].item(), freshness.is_current(page, "c")

    code = code_hash((PACKAGE / "models" / "small.py").read_text(encoding="utf-8"))
    assert answers("0" * 16) == (False, "missing", True)
    assert answers(code) == (True, "done", False)


def test_what_a_page_lacks_is_known(runs_folder, monkeypatch):
    from fer_study.jobs import plan, stages

    trained = []
    monkeypatch.setattr(plan, "train_jobs", lambda jobs, **_: trained.extend(job.key for job in jobs))
    notebooks, edition = execute.NOTEBOOKS, "smoke"
    names = ["01_dataset_audit", "03_model_comparison", "07_error_analysis"]
    todo = [
        execute.Task(notebooks / f"{n}.ipynb", runs_folder / n, execute.defaults(notebooks / f"{n}.ipynb"), "")
        for n in names
    ]
    todo[1].parameters.update(edition=edition, seeds=[5])
    audit, comparison, errors = execute.train_live(todo, None)
    assert len(audit) == 1 and len(comparison) == 5 and len(errors) == 5  # four networks, and the baseline or the audit
    assert set(trained) == {*comparison, *errors} and {*audit} < {*errors}
    assert stages.read_stage(edition, "07_error_analysis").jobs()[0].key in errors


@pytest.mark.parametrize(
    ("stage", "name", "value", "words"),
    [
        ("01", "near_threshold", "2", "threshold is 2.0"),
        ("03", "recipes", "[]", "03_model_comparison: recipes is \\[\\]"),
        ("07", "seeds", "[1, 1]", "1 is listed twice"),
        ("05", "targets", "[vote]", "targets is 'vote'"),
    ],
)
def test_wrong_values_reach_no_notebook(runs_folder, caplog, stage, name, value, words):
    assert cli.main(["execute", "smoke", stage, "-p", name, value]) == 2
    (error,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert re.search(words, error) and "\n" not in error
    assert not runs_folder.exists() or not list(runs_folder.rglob("*.ipynb"))


def test_a_failed_training_stops_only_its_pages(runs_folder, monkeypatch):
    from fer_study.jobs import plan

    def broken(*_: object, **__: object) -> None:
        raise plan.RunsFailed("1 of 2 runs failed")

    monkeypatch.setattr(plan, "train_jobs", broken)
    notebook = execute.NOTEBOOKS / "03_model_comparison.ipynb"
    parameters = execute.defaults(notebook)
    ((first, *_),) = execute.train_live([execute.Task(notebook, runs_folder / "p", parameters, "")], None)
    assert len(first) == 16


def test_an_up_to_date_page_costs_no_torch(runs_folder):
    notebook = execute.NOTEBOOKS / "01_dataset_audit.ipynb"
    parameters = execute.defaults(notebook) | editions.parameters("smoke", "01_dataset_audit")
    page = execute.target_of("smoke", "01_dataset_audit", {})
    page.parent.mkdir(parents=True)
    content = freshness.content_hash(notebook, parameters)
    page.write_text(json.dumps({"metadata": {"fer_study": {"content": content, "missing": ["0123456789abcdef"]}}}))
    before = page.read_bytes()
    code = "import sys; from fer_study.cli import main; sys.exit(main(sys.argv[1:]) or 3 * ('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, "execute", "smoke", "01"], capture_output=True, text=True)
    lacks = "records that are missing: 1; train them with: fer-study train smoke 01"
    said = f"smoke 01_dataset_audit is up to date: {page}\n{lacks}\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said)
    assert page.read_bytes() == before


def test_the_last_line_is_the_command_that_trains_what_is_missing(runs_folder, monkeypatch, caplog):
    """What it says is run as it stands, and trains what the page lacks."""

    def make(todo: list[execute.Task], root: str | None) -> int:
        for task in todo:
            task.page.parent.mkdir(parents=True)
            lacks = [job.key for job in execute.jobs_of(task)]
            task.page.write_text(as_json({"metadata": {"fer_study": {"content": task.content, "missing": lacks}}}))
        return 0

    monkeypatch.setattr(execute, "make", make)
    monkeypatch.setenv("FER_STUDY_DATA", "")  # put back what --data sets
    (runs_folder.parent / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    data, given = ["--data", str(runs_folder.parent)], ["fer2013", "04_ablations", "-p", "seeds", "[5, 6]"]
    with caplog.at_level("INFO"):
        assert cli.main([*data, "execute", *given]) == 0
    found = re.fullmatch(r"records that are missing: (\d+); train them with: fer-study (.*)", caplog.messages[-1])
    assert shlex.split(found[2]) == [*data, "train", *given]
    made = []
    monkeypatch.setattr("fer_study.jobs.queue.run", lambda job, **_: made.append(job.key))
    assert cli.main(shlex.split(found[2])) == 0
    (page,) = (runs_folder / "pages" / "fer2013").iterdir()
    assert (
        sorted(made) == sorted(json.loads(page.read_text())["metadata"]["fer_study"]["missing"])
        and len(made) == int(found[1]) >= 6
    )


def test_half_a_page_is_never_in_its_folder(place):
    """Nor anywhere else: nothing is written before every cell ran."""
    folder = place / "runs" / "pages" / "smoke"
    (place / "params" / "smoke" / "03_half.yaml").write_text("seeds: [1, 2]\n")
    write_notebook(place / "notebooks" / "03_half.ipynb", "import os", f"print(os.path.exists({str(folder)!r}))")
    assert cli.main(["execute", "smoke", "03"]) == 0
    outputs = [o for cell in json.loads((folder / "03_half.ipynb").read_text())["cells"] for o in cell.get("outputs", [])]
    assert outputs[0]["text"] == ["False\n"]
    assert page_files(place) == ["03_half.ipynb"] and not list((execute.ROOT / ".build").glob("03_half.*"))


def test_a_kernel_that_dies_costs_its_page(place, caplog):
    write_notebook(place / "notebooks" / "01_first.ipynb", "import os, signal", "os.kill(os.getpid(), signal.SIGKILL)")
    assert cli.main(["execute", "smoke"]) == 1
    (error,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert "01_first.ipynb" in error and "died" in error and "\n" not in error
    assert page_files(place) == ["02_second.ipynb"]


def test_a_kernel_whose_port_was_taken_is_started_again(monkeypatch, tmp_path):
    import papermill

    calls = []

    def start(notebook, *_, **__):
        calls.append(notebook)
        if len(calls) == 1:
            raise RuntimeError("Kernel died before replying to kernel_info")
        raise RuntimeError("another fault")

    monkeypatch.setattr(papermill, "execute_notebook", start)
    text, failure, _ = kernel.executed(tmp_path / "a.ipynb", {}, tmp_path)
    assert len(calls) == 2 and text == "" and failure == "a.ipynb: RuntimeError: another fault"
