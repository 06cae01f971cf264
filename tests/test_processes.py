"""Worker processes: one that dies costs its task, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_study.jobs.processes import Died, Pool
from step_jobs import check_what_needs_a_failed_job

psutil = pytest.importorskip("psutil")

FOUR = ["train", "smoke", "03", "-p", "models", "[emotion_cnn, kernel_cnn]", "-p", "baseline", "false", "-p", "folds", "{}"]


def doubled(number: int) -> tuple[int, int]:
    """Twice the number; below zero the process is ended by that signal, at zero it fails."""
    if number < 0:
        os.kill(os.getpid(), -number)
        time.sleep(60)
    if number == 0:
        raise ValueError("nothing to double")
    return 2 * number, os.getpid()


def test_each_task_in_one_of_the_processes():
    asked = []

    def tasks():
        for number in range(1, 7):
            asked.append(number)
            yield (number,)

    with Pool(2) as pool:
        found = {}
        for (number,), (result, process) in pool.each(doubled, tasks()):
            found[number] = result, process
            assert len(asked) <= len(found) + 2, "a task is taken when a process is free"
    assert {number: result for number, (result, _) in found.items()} == {i: 2 * i for i in range(1, 7)}
    processes = {process for _, process in found.values()}
    assert 1 <= len(processes) <= 2 and os.getpid() not in processes
    assert not any(map(psutil.pid_exists, processes))


def test_a_process_that_dies_costs_its_task():
    tasks = [(1,), (-signal.SIGKILL,), (2,), (-signal.SIGSEGV,), (3,)]
    with Pool(2) as pool:
        results = {task: result for (task,), result in pool.each(doubled, tasks)}
    assert {results[number][0] for number in (1, 2, 3)} == {2, 4, 6}
    killed, crashed = results[-signal.SIGKILL], results[-signal.SIGSEGV]
    assert isinstance(killed, Died) and "SIGKILL" in str(killed) and "memory" in str(killed)
    assert isinstance(crashed, Died) and "SIGSEGV" in str(crashed)


def test_what_a_task_raises_is_raised_and_ends_the_others():
    with pytest.raises(ValueError, match="nothing to double"), Pool(2) as pool:
        for _ in pool.each(doubled, [(0,), (1,)]):
            pass
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def begun(command: list[str], runs_folder: Path, sign: str) -> tuple[subprocess.Popen, list]:
    """A command that runs, and the processes that it started, once a file that matches ``sign`` is there."""
    environment = {**os.environ, "FER_STUDY_RUNS": str(runs_folder), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background of a shell ignore it
    )  # fmt: skip
    end = time.monotonic() + 240
    while not list(runs_folder.glob(sign)):
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.1)
    return process, psutil.Process(process.pid).children(recursive=True)


def fer_study(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from fer_study.cli import main; raise SystemExit(main())", *arguments]


def ends_with_all_its_processes(process: subprocess.Popen, children: list, number: int) -> None:
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    gone, alive = psutil.wait_procs(children, timeout=30)
    for child in alive:
        child.kill()
    assert len(gone) >= 2 and not alive, [child.cmdline() for child in alive]
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 1}.get(number, -number)
    if number != signal.SIGKILL:
        last = said.strip().splitlines()[-1]
        assert last.startswith("fer-study: ") and "again" in last and "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_trainings_end_with_their_command(tmp_path, number):
    command = fer_study(*FOUR, "--jobs", "2", "-p", "recipes", "[ladder]")
    ends_with_all_its_processes(*begun(command, tmp_path, "*/checkpoint.pt"), number)


PAGE = """import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_execute import write_notebook
from fer_study import cli
from fer_study.book import execute
place = Path(sys.argv[2])
for name in ("NOTEBOOKS", "PARAMS"):
    setattr(execute, name, place)
execute.PAGES = {}
(place / "smoke").mkdir()
(place / "smoke" / "edition.yaml").write_text("title: Small\\ndata: {dataset: fer2013}\\n")
for stage in ("01_first", "02_second"):
    (place / "smoke" / (stage + ".yaml")).write_text("{}\\n")
    begun = str(place / ("begun_" + stage))
    write_notebook(place / (stage + ".ipynb"), "import time", f"open({begun!r}, 'w').close()\\ntime.sleep(60)")
raise SystemExit(cli.main(["execute", "smoke"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_kernels_end_with_the_command(tmp_path, number):
    command = [sys.executable, "-c", PAGE, str(Path(__file__).parent), str(tmp_path)]
    process, children = begun(command, tmp_path, "begun_*")
    assert any("ipykernel" in " ".join(child.cmdline()) for child in children)
    ends_with_all_its_processes(process, children, number)
    assert not list(tmp_path.rglob("pages"))


def test_a_training_that_is_killed_costs_its_run(tmp_path, monkeypatch):
    from fer_study import cli
    from fer_study.jobs import stages  # here, for the processes of other tests import this file, too

    process, _ = begun(fer_study(*FOUR, "--jobs", "2"), tmp_path, "*/checkpoint.pt")
    workers = psutil.Process(process.pid).children()
    next(worker for worker in workers if "spawn_main" in " ".join(worker.cmdline())).kill()
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 1, said
    last = said.strip().splitlines()[-1]
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path))
    given = {"models": ["emotion_cnn", "kernel_cnn"], "baseline": False, "folds": {}}
    given = {**stages.parameters("smoke", "03_model_comparison"), **given}
    keys = {job.key for job in stages.check_stage("03_model_comparison", given, "FOUR").jobs()}
    done = {path.parent.name for path in tmp_path.glob("*/done")}
    (failed,) = [key for key in keys - done if key in last]
    assert done == keys - {failed} and "SIGKILL" in last and not any(key in last for key in done)
    assert cli.main(FOUR) == 0 and (tmp_path / failed / "done").is_file()


def test_what_needs_a_job_that_failed_in_a_process_is_left_out(runs_folder, caplog):
    check_what_needs_a_failed_job(runs_folder, caplog, parallel=2)
