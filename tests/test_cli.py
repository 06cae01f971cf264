"""The command line: exit codes, one line for every error, never a traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from fer_study import cli, data, store
from fer_study.analysis import claims
from fer_study.book import execute
from fer_study.book.labs import versions
from fer_study.jobs import editions, plan, queue, stages
from fer_study.jobs.job import job_for
from fer_study.settings import environment, experiment, recipes
from fer_study.store import record_files
from fer_study.training import loop
from reader_trees import csv_rows, random_images, write_csv


@pytest.fixture
def fer(runs_folder, published, capsys, caplog, monkeypatch):
    """Run a command: ``(exit code, lines of errors)``."""
    monkeypatch.delenv("FER_STUDY_DATA", raising=False)

    def run(*arguments: str) -> tuple[int, list[str]]:
        caplog.clear()
        code = cli.main(list(arguments))
        assert "Traceback" not in caplog.text + capsys.readouterr().err
        return code, [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]

    return run


@pytest.fixture
def params(tmp_path, monkeypatch):
    """A copy of ``params/`` that a test may spoil."""
    folder = tmp_path / "params"
    shutil.copytree(experiment.PARAMS, folder)
    for module in (stages, editions, recipes, experiment, execute):
        monkeypatch.setattr(module, "PARAMS", folder)
    for function in (editions.editions, editions.load_edition, stages.parameters, recipes.load_recipe):
        place = folder / "recipes" if function is recipes.load_recipe else folder
        monkeypatch.setattr(function, "__defaults__", (place,))
    return folder


def refused(result: tuple[int, list[str]], *words: str) -> None:
    code, errors = result
    assert code == 2 and len(errors) == 1 and "\n" not in errors[0]
    assert errors[0].startswith("fer-study: ") and all(word in errors[0] for word in words), errors[0]


def numbers(text: str) -> list[float]:
    """The numbers that stand as words in a message, for its wording may change."""
    return [float(number) for number in re.findall(r"(?<![\w./-])\d+(?:\.\d+)?(?![\w/-])", text)]


def test_plan_lists_what_is_missing(fer, capsys):
    assert cli.main(["plan", "smoke"]) == 0
    out = capsys.readouterr().out
    count = len(stages.edition_jobs("smoke"))
    assert numbers(out.splitlines()[-1])[:2] == [count, count] and out.count("missing") == count
    untrained = sum(job.model in ("transfer", "views") for job in stages.edition_jobs("smoke"))
    assert out.count(" -\n") == count - untrained > 9 and out.count("01_dataset_audit") == 1
    assert "NaN" not in out and "data:" not in out, "never timed; drawn on the spot"


def test_plan_says_whether_the_data_is_in_place(fer, tmp_path, capsys):
    def said() -> list[str]:
        assert cli.main(["--data", str(tmp_path), "plan", "fer2013", "02"]) == 0
        lines = capsys.readouterr().out.splitlines()
        (first,) = [place for place, line in enumerate(lines) if line.startswith("data: ")]
        return lines[first:]

    first, *layouts, remedy = said()
    assert "fer2013" in first and str(tmp_path) in first and "--data" in remedy
    assert len(layouts) > 1 and max(map(len, [*layouts, remedy])) < 200
    (tmp_path / "fer2013.csv").write_bytes(b"emotion,pixels,Usage\n\x00\xff")
    (line,) = said()
    assert "fer2013" in line and f"fer-study data doctor {tmp_path}" in line


@pytest.fixture
def trained(monkeypatch):
    """Keys of the runs that would be trained."""
    keys = []
    monkeypatch.setattr(queue, "run", lambda job, **_: keys.append(job.key))
    return keys


FIVE = ["smoke", "02_class_weighting", "-p", "seeds", "[5]"]


def test_plan_and_train_take_what_execute_takes(fer, trained, capsys):
    given = editions.parameters("smoke", "02_class_weighting")
    jobs = stages.check_stage("02_class_weighting", {**given, "seeds": [5]}).jobs()
    assert cli.main(["plan", *FIVE]) == 0
    out = capsys.readouterr().out
    assert numbers(out.splitlines()[-1])[:2] == [7, 7] and all(job.key in out for job in jobs)
    assert fer("train", *FIVE, "--only", "heavy/*") == (0, []) and trained == [jobs[2].key]
    assert fer("train", *FIVE) == (0, []) and sorted(trained[1:]) == sorted(job.key for job in jobs)
    trained.clear()
    assert fer("train", "smoke", "3", "07") == (0, []), "stages that share runs"
    jobs = [
        job for stage in ("03_model_comparison", "07_error_analysis") for job in stages.read_stage("smoke", stage).jobs()
    ]
    assert set(trained) == {job.key for job in jobs} and len(trained) == len(set(trained)) == 16


@pytest.mark.parametrize("command", ["plan", "train", "execute"])
def test_plan_and_train_are_as_strict_as_execute(fer, trained, command):
    def says(*words: str, stage: str = "02", given: tuple = ()) -> None:
        refused(fer(command, "smoke", stage, *given), *words)

    says("02_class_weighting", "'sedes'", "edition", given=("-p", "sedes", "[5]"))
    says("02_class_weighting", "seeds is 5", given=("-p", "seeds", "5"))
    says("02_class_weighting", "seeds.0 is -1", given=("-p", "seeds", "[-1]"))
    says("smoke", "'gallery'", "01_dataset_audit", "design", stage="gallery")
    assert not trained


def test_a_page_without_runs(fer, capsys):
    assert cli.main(["plan", "smoke", "01"]) == 0
    out = capsys.readouterr().out
    assert numbers(out.splitlines()[-1])[:2] == [1, 1] and "audit" in out


@pytest.mark.parametrize("model", ["emotion_cnn", "timm:resnet18"])
def test_an_ablation_of_what_is_not_there(fer, capsys, model):
    refused(fer("plan", "smoke", "04", "-p", "model", model), model, "no_cbam", "'attention'")
    rest = "{full: {}, l2: {optimiser.weight_decay: 1.0e-4}, longer: {phases.0.epochs: 3}}"
    assert cli.main(["plan", "smoke", "04", "-p", "model", model, "-p", "arms", rest]) == 0


@pytest.mark.parametrize(
    ("command", "file", "old", "new", "words"),
    [
        ("plan smoke", "smoke/03_model_comparison", "[smoke]", "[tea]", ["unknown recipe 'tea'", "ladder"]),
        (
            "train smoke",
            "smoke/03_model_comparison",
            "seeds: [0, 1]",
            "seeds: many",
            ["03_model_comparison.yaml", "seeds is 'many'"],
        ),
        (
            "plan smoke",
            "recipes/smoke",
            "batch_size: 64",
            "batch_size: big",
            ["smoke.yaml", "batch_size", "'big'", "integer"],
        ),
        (
            "plan smoke",
            "smoke/edition",
            "dataset: synthetic",
            "dataset: synthetc",
            ["edition.yaml: data: unknown dataset 'synthetc'"],
        ),
        ("plan smoke", "smoke/edition", "live: {", "colour: red\nlive: {", ["edition.yaml", "'colour'", "allowed: title"]),
        ("plan fer2013", "fer2013/01_dataset_audit", "threshold: 0.95", "threshold: high", ["near_threshold is 'high'"]),
        ("train fer2013", "fer2013/01_dataset_audit", "threshold: 0.95", "threshold: 2.0", ["threshold is 2.0"]),
        ("train fer2013", "fer2013/gallery", "{name: emotion_cnn", "{name: emotion_gnn", ["model 'emotion_gnn'"]),
        ("plan fer2013", "fer2013/gallery", "{name: emotion_cnn", "{sizes: 48, name: x", ["unknown key 'networks.0.sizes'"]),
    ],
)
def test_what_is_wrong_in_a_file_of_parameters(fer, params, trained, command, file, old, new, words):
    """Also in that of a page that trains nothing."""
    path = params / f"{file}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    refused(fer(*command.split()), *words)
    assert not trained


def test_another_set_is_imported_judged_and_never_trained_on(fer, tmp_path, caplog):
    """14 images in the form of FER2013: import writes them and says so, the doctor finds fault, a run is refused."""
    (tmp_path / "few").mkdir()
    write_csv(tmp_path / "few", csv_rows(random_images()))
    target = tmp_path / "root" / "fer2013.faces"
    target.parent.mkdir()
    with caplog.at_level("INFO"):
        assert fer("data", "import", str(tmp_path / "few"), "--to", str(target)) == (0, [])
        assert caplog.messages[0].startswith(str(tmp_path / "few")) and "fer2013" in caplog.messages[0]
    assert cli.main(["data", "doctor", str(target)]) == 2
    refused(fer("--data", str(target.parent), "train", "fer2013", "--only", "hog_svm/*"), "fer2013")


@pytest.mark.parametrize("command", ["plan", "train", "publish", "execute"])
def test_an_edition_lies_in_params(fer, params, tmp_path, command):
    shutil.copytree(params / "smoke", tmp_path / "elsewhere")
    for name in ("mars", "../elsewhere", str(tmp_path / "elsewhere"), "recipes/../smoke", "smoke/", "."):
        refused(fer(command, name), f"unknown edition {name!r}", "smoke")


@pytest.mark.parametrize("command", ["plan", "train", "publish", "execute"])
def test_a_file_that_no_page_reads_is_refused(fer, params, trained, command):
    shutil.copytree(params / "smoke", params / "typo")
    path = params / "typo" / "03_model_comparison.yaml"
    for name in ("03_model_comparisn.yaml", "03_model_comparison.yml"):
        path = path.rename(path.with_name(name))
        refused(fer(command, "typo"), f"{path}: ", "03_model_comparison", "gallery")
    assert not trained


def test_an_edition_without_its_first_file(fer, params):
    shutil.copytree(params / "smoke", params / "mine")
    (params / "mine" / "edition.yaml").unlink()
    refused(fer("plan", "mine"), f"{params / 'mine' / 'edition.yaml'}: no such file")
    refused(fer("plan", "mars"), "unknown edition 'mars'", f"looked in {params}")


def test_parameters_need_the_stage_that_they_are_for(fer, trained):
    for command in ("plan", "train", "execute"):
        refused(fer(command, "smoke", "-p", "seeds", "[0]"), "-p seeds: name the stage", "03_model_comparison")
    assert not trained


@pytest.mark.parametrize(
    ("stage", "given", "words"),
    [
        ("03", ("models", "[emotion_cn]"), "03_model_comparison: models: unknown model 'emotion_cn'; known: "),
        ("02", ("model", "emotion_cn"), "02_class_weighting: model: unknown model 'emotion_cn'; known: "),
        ("02", ("recipes", "[tea]"), "02_class_weighting: recipes: unknown recipe 'tea'; known: "),
    ],
)
def test_an_unknown_name_is_told_with_its_parameter(fer, stage, given, words):
    refused(fer("plan", "smoke", stage, "-p", *given), words)


def test_a_recipe_lies_in_params(fer, params, tmp_path):
    shutil.copy(params / "recipes" / "smoke.yaml", tmp_path / "mine.yaml")
    for name in ("../../mine", str(tmp_path / "mine")):
        refused(fer("plan", "smoke", "03", "-p", "recipes", f"['{name}']"), "unknown recipe", "ladder")


def test_only_without_a_match(fer):
    refused(fer("train", "smoke", "--only", "nothing/*"), "--only 'nothing/*' matches no run; fer-study plan lists them")


def test_missing_data(fer, tmp_path):
    refused(fer("--data", str(tmp_path), "train", "fer2013", "--only", "hog_svm/*"), "fer2013 not found in", "--data")


def test_paths_that_do_not_exist(fer, tmp_path):
    gone = str(tmp_path / "gone")
    refused(fer("--data", gone, "plan", "smoke"), f"--data {gone}: no such file or folder")
    refused(fer("train", "smoke", "--scheduler-file", gone), f"--scheduler-file {gone}: no such file")


def test_the_edition_is_no_parameter(fer):
    refused(fer("execute", "smoke", "01", "-p", "edition", "synthetic"), "-p edition", "fer-study execute synthetic")


OURS = "title: Ours\ndata: {dataset: synthetic, faces: 700, style: wild, world_seed: 0}\n"


def test_a_copied_folder_is_an_edition_of_its_own(fer, params, capsys):
    """Its data is what its edition.yaml says, so no published record is shown under its name."""
    shutil.copytree(params / "fer2013", params / "ours")
    (params / "ours" / "edition.yaml").write_text(OURS)
    (params / "ours" / "resface.yaml").unlink()  # asks for the eighth class, which drawn faces lack
    for command in (["plan", "ours", "03"], ["plan", "ours", "02", "-p", "seeds", "[3]"]):
        assert cli.main(command) == 0
        out = capsys.readouterr().out
        assert "missing" in out and "published" not in out
    published = {job.key for job in stages.edition_jobs("fer2013")}
    shared = [job for job in stages.edition_jobs("ours") if job.key in published]
    read = {data.dataset for job in shared if job.model != "transfer" for data in job.data()}
    assert read == {"fer2013", "muxspace"}, "what another edition reads too has one key"
    assert stages.own_audit("ours").config.data.faces == 700
    assert execute.tasks("ours", ["03"], {})[0].parameters["edition"] == "ours"


@pytest.mark.parametrize("stage", ["01_dataset_audit", "03_model_comparison", "gallery"])
@pytest.mark.parametrize("edition", ["smoke", "ours"])
def test_a_parameter_file_does_not_say_its_edition(fer, params, trained, stage, edition):
    shutil.copytree(params / "fer2013", params / "ours")
    (params / "ours" / "edition.yaml").write_text(OURS)
    (params / "ours" / "resface.yaml").unlink()
    path = params / "ours" / f"{stage}.yaml"
    path.write_text(f"edition: {edition}\n" + path.read_text())
    for command in (["plan", "ours"], ["train", "ours"], ["execute", "ours", stage], ["publish", "ours"]):
        refused(fer(*command), f"{stage}.yaml: edition is {edition!r}", "ours")
    assert not trained


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -c 'from fer_study.cli import main; raise SystemExit(main())' claims --json"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command} | head -1"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == "[\n"


def test_one_claim_is_shown_with_its_statement(capsys):
    assert cli.main(["claims", "--id", "data-01"]) == 0
    statement, quotation, source, _, head, row = capsys.readouterr().out.splitlines()
    claim = claims.load().loc["data-01"]
    assert statement == f"statement  {claim['statement']}" and quotation.startswith("quotation  ")
    assert source.startswith(f"source     {claims.SOURCES[claim['source']]}, ")
    assert head.startswith("id ") and row.startswith("data-01 ")
    assert cli.main(["claims", "--id", "data-0[12]"]) == 0
    assert "statement" not in capsys.readouterr().out


def test_python_runs_the_package_as_the_command():
    command = [sys.executable, "-m", "fer_study", "claims", "--id", "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("fer-study: ") and "'x'" in done.stderr


def test_doctor(tmp_path, capsys):
    assert cli.main(["data", "doctor", str(tmp_path)]) == 2
    assert "layout not recognised" in capsys.readouterr().out
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data", csv_rows(random_images()))
    assert cli.main(["data", "doctor", str(tmp_path / "data"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["problems"]  # not the official counts


TRAIN = ["train", "smoke"]


@pytest.mark.parametrize("arguments", [
    [], ["fly"], ["train"], [*TRAIN, "--minutes", "soon"], [*TRAIN, "--minutes", "nan"], [*TRAIN, "--minutes", "-1"],
    [*TRAIN, "--jobs", "0"], [*TRAIN, "--jobs", "1.5"],
])  # fmt: skip
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("fer-study") and "--help" in said


def test_failed_work(fer, monkeypatch):
    def broken(*_arguments, **_named):
        raise loop.TrainingFailed("tiny: loss is nan in epoch 1")

    monkeypatch.setattr(queue, "run", broken)
    (job,) = [job for job in stages.edition_jobs("smoke") if job.name == "hog_svm"]
    code, (error,) = fer("train", "smoke", "--only", "hog_svm/*")
    assert code == 1 and numbers(error)[:3] == [1, 1, 0]
    assert all(part in error for part in (job.name, job.key, "TrainingFailed: tiny: loss is nan", "FER_STUDY_DEBUG=1"))
    monkeypatch.setenv("FER_STUDY_DEBUG", "1")
    with pytest.raises(loop.TrainingFailed):
        cli.main(["train", "smoke"])


def test_one_failed_run_does_not_end_the_queue(fer, monkeypatch):
    jobs, seen = stages.edition_jobs("smoke"), []
    (needed_by_none,) = [job for job in jobs if job.name == "hog_svm"]

    def one_fails(job, **_named):
        seen.append(job.key)
        if job.key == needed_by_none.key:
            raise loop.TrainingFailed("it broke")

    monkeypatch.setattr(queue, "run", one_fails)
    code, (error,) = fer("train", "smoke")
    assert code == 1 and sorted(seen) == sorted(job.key for job in jobs)
    assert numbers(error)[:3] == [1, len(jobs), len(jobs) - 1]
    assert all(part in error for part in (needed_by_none.name, needed_by_none.key, "TrainingFailed"))


def test_pinned_threads_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(queue.os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [queue.threads_each(parallel) for parallel in (1, 2, 4, 16)] == [0, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert queue.threads_each(4) == 0


def test_plan_passes_over_records_it_cannot_read(fer, runs_folder, capsys):
    (runs_folder / "aaaa").mkdir(parents=True)
    (runs_folder / "aaaa" / "config.json").write_text(
        '{"kind": "RunConfig", "data": {"dataset": "synthetic", "targets": "vote"}}'
    )
    (runs_folder / "aaaa" / "done").touch()
    assert fer("plan", "smoke") == (0, [])


def test_interrupted(fer, monkeypatch):
    def stopped(*_arguments, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr(queue, "run", stopped)
    code, errors = fer("train", "smoke")
    assert code == 1 and len(errors) == 1 and errors[0].startswith("fer-study: ")


@pytest.mark.parametrize("command", [("execute", "smoke", "03"), ("labs",)])
def test_notebooks_need_their_packages_before_anything_is_made(fer, trained, tmp_path, monkeypatch, command):
    monkeypatch.setattr(versions, "WORK", tmp_path / "labs")
    for name in ("nbformat", "papermill"):
        monkeypatch.setitem(sys.modules, name, None)
    refused(fer(*command), "(papermill, nbformat)", "pip install '.[book]'")
    assert not trained and not (tmp_path / "labs").exists()


def test_out_of_time_is_no_error(fer, runs_folder):
    assert fer("train", "smoke", "--minutes", "0") == (0, [])
    assert not list(runs_folder.glob("*/done"))


def test_train_then_publish(fer, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(environment, "commit", lambda: "0123456789")  # the code at hand may be changed
    assert fer("train", "smoke", "--only", "hog_svm/*") == (0, [])
    (job,) = [job for job in stages.edition_jobs("smoke") if job.name == "hog_svm"]
    assert store.lookup(job.key).metrics["last_single"]["test"]["n"] == 60
    total = len(stages.edition_jobs("smoke"))
    local, copy = store.local_root() / job.key, tmp_path / "results" / job.key
    for state, made, replaced, there in (
        ("new", 1, 0, 0),
        ("same", 0, 0, 1),
        ("older", 1, 1, 0),
        ("damaged", 1, 1, 0),
        ("gone", 0, 0, 1),
    ):
        if state == "older":
            parts = {name: (copy / name).read_bytes() for name in record_files.listed(copy)}
            record_files.write_parts(copy, parts | {"env.json": store.as_json({"commit": "fedcba9876"})})
        if state == "damaged":
            (copy / "metrics.json").write_text("{}")
        if state == "gone":
            shutil.rmtree(local)
        with caplog.at_level("INFO"):
            assert fer("publish", "smoke") == (0, [])
        assert numbers(caplog.messages[-1].replace(str(tmp_path), "")) == [made, replaced, there, total - 1, total]
        assert [p.name for p in (tmp_path / "results").iterdir()] == [job.key]
    with caplog.at_level("INFO"):
        assert fer("publish", "smoke", "03", "-p", "seeds", "[7]") == (0, [])
    given = editions.parameters("smoke", "03_model_comparison") | {"edition": "smoke", "seeds": [7]}
    listed = len(stages.check_stage("03_model_comparison", given).jobs())
    assert numbers(caplog.messages[-1])[-1] == listed


def test_a_plan_says_how_long_in_units_and_what_no_record_tells():
    durations = {0: "0 s", 119: "119 s", 120: "2 min", 7199: "120 min", 12600: "3.5 h", float("nan"): "-"}
    assert {seconds: plan.lasting(seconds) for seconds in durations} == durations

    def said(*jobs: tuple[str, float]) -> list[float]:
        return numbers(plan.summary(pd.DataFrame(jobs, columns=["state", "seconds"])))

    hours = [("missing", 7000.0), ("started", 5600.0)]
    assert said(("done", 0.0), ("published", 0.0), ("impossible", float("nan"))) == [0, 3]
    assert said(("done", 0.0), *hours) == [2, 3, 3.5]
    assert said(*hours, ("missing", float("nan"))) == [3, 3, 3.5, 1], "one whose time no record tells"
    assert said(("no data", float("nan"))) == [1, 1], "no time"


def test_an_estimate_is_of_the_same_network(monkeypatch, tiny_run):
    full = tiny_run(model=experiment.ModelConfig(name="emotion_cnn"))
    narrow = tiny_run(model=experiment.ModelConfig(name="emotion_cnn", options={"width": 0.25}))
    other = tiny_run(model=experiment.ModelConfig(name="emotion_cnn", input_size=64))
    timed = [SimpleNamespace(config=run, env={"images_per_second": rate}) for run, rate in ((full, 100.0), (narrow, 900.0))]
    monkeypatch.setattr(store, "records", lambda: timed)
    speed = plan.speeds()
    full, narrow, other = (job_for(run).seconds(speed) for run in (full, narrow, other))
    assert full == pytest.approx(9 * narrow)
    assert other == pytest.approx(full / 5)  # by name: the median of both


def test_places_are_those_of_the_call(fer, tmp_path, monkeypatch):
    """What follows may run in another folder, as the kernels of notebooks do."""
    (tmp_path / "here" / "root" / "folders").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for name in ("RUNS", "WEIGHTS"):
        monkeypatch.setenv(f"FER_STUDY_{name}", name.lower())
    monkeypatch.setenv("FER_STUDY_DATA", "elsewhere")
    seen = {}

    def run(*_: object, root: str | None) -> int:
        seen.update({name: os.environ[f"FER_STUDY_{name}"] for name in ("DATA", "RUNS", "WEIGHTS")}, root=root)
        return 0

    monkeypatch.setattr(execute, "run", run)
    here = tmp_path / "here"
    assert fer("execute", "smoke") == (0, [])
    assert seen == {
        "DATA": str(here / "elsewhere"),
        "RUNS": str(here / "runs"),
        "WEIGHTS": str(here / "weights"),
        "root": None,
    }
    assert fer("--data", "root", "execute", "smoke") == (0, [])
    assert seen["DATA"] == seen["root"] == str(here / "root")


def test_data_lies_in_the_checkout_wherever_the_call_comes_from(fer, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_study.data.ROOT", tmp_path / "checkout")
    (tmp_path / "faces").mkdir()
    write_csv(tmp_path / "faces", csv_rows(random_images()))
    monkeypatch.chdir(tmp_path)
    assert fer("data", "import", "faces") == (0, [])
    assert (tmp_path / "checkout" / "data" / "fer2013.faces").is_dir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert data.locate("fer2013") == tmp_path / "checkout" / "data" / "fer2013.faces"


@pytest.mark.parametrize(
    "arguments", [("smoke", "03", "--jobs", "2"), ("smoke", "--jobs", "2", "03"), ("--jobs", "2", "smoke", "03")]
)
def test_options_stand_anywhere(arguments):
    given = cli.build_parser().parse_args(["train", *arguments])
    assert (given.edition, given.stage, given.jobs) == ("smoke", ["03"], 2)


@pytest.mark.parametrize("place", ["taken", "taken/runs"])
@pytest.mark.parametrize("command", ["plan", "train", "execute", "publish"])
def test_records_need_a_folder(fer, tmp_path, monkeypatch, command, place):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / place))
    refused(fer(command, "smoke"), "FER_STUDY_RUNS", str(tmp_path / "taken"), "folder")
