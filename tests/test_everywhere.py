"""The package works where there is no checkout, and is imported where there is no Unix."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WITHOUT_UNIX = """
import importlib, os, pkgutil, signal, sys
import fer_study

names = ["fer_study", *(part.name for part in pkgutil.walk_packages(fer_study.__path__, "fer_study."))]
for name in names:  # loads what others have written, as this system has it
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "fer_study"]:
    del sys.modules[name]
for name in ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog"):
    sys.modules[name] = None
for module, missing in {
    os: ("fork", "killpg", "setsid", "getpgid", "getuid", "uname", "sched_getaffinity", "mkfifo", "nice"),
    signal: ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGCHLD"),
}.items():
    for name in missing:
        module.__dict__.pop(name, None)
sys.platform = "win32"
for name in names:
    importlib.import_module(name)

from fer_study import cli
from fer_study.settings.environment import peak_memory_gb
assert peak_memory_gb() is None
sys.exit(cli.main(["claims", "--json"]))
"""
COMMAND = "import sys; from fer_study.cli import main; sys.exit(main())"


def run(*command: object, **options: object) -> str:
    """What a command printed; it has to succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:]
    return done.stdout


def words(ledger: str) -> dict[str, str]:
    """Claim -> verdict, of what ``claims --json`` prints."""
    return {row["id"]: row["word"] for row in json.loads(ledger)}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """The verdicts of this checkout, from its published records alone."""
    env = os.environ | {"FER_STUDY_RUNS": str(tmp_path_factory.mktemp("none"))}
    return words(run(sys.executable, "-c", COMMAND, "claims", "--json", cwd=ROOT, env=env))


@pytest.mark.skipif(sys.platform == "win32", reason="takes away what is not there")
def test_every_module_is_imported_without_what_only_unix_has(ledger, tmp_path):
    """Modules of others are loaded before: that they know Windows is theirs to show. ``os.name``
    stays, as pathlib hangs on it."""
    env = os.environ | {"FER_STUDY_RUNS": str(tmp_path)}
    assert words(run(sys.executable, "-c", WITHOUT_UNIX, env=env)) == ledger


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel of this checkout, built without network and unpacked."""
    place = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns("__pycache__")
    for name in ("fer_study", "params", "notebooks", "results", "LICENSES"):  # a build leaves files where it runs
        shutil.copytree(ROOT / name, place / "checkout" / name, ignore=left_out)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, place / "checkout")
    options = ("--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", place)
    run(sys.executable, "-m", "pip", "wheel", *options, place / "checkout")
    (wheel,) = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "site")
    return place / "site"


@pytest.fixture
def fer(installed, tmp_path):
    """Run the installed package in an empty folder; returns what it prints."""

    def call(*arguments: str, code: str = COMMAND) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FER_STUDY")}
        env = kept | {"PYTHONPATH": str(installed)}
        return run(sys.executable, "-c", code, *arguments, cwd=tmp_path, env=env)

    return call


def test_an_installed_package_has_the_ledger_in_an_empty_folder(fer, ledger):
    assert len(ledger) == 120
    assert words(fer("claims", "--json")) == ledger


def test_an_installed_package_has_editions_and_notebooks(fer, tmp_path):
    loaded = "from fer_study.jobs.editions import editions; print(*editions())"
    assert "fer2013" in fer(code=loaded).split()
    fer("labs")
    assert list((tmp_path / "labs" / "student").glob("*.ipynb"))


def test_an_installed_package_has_the_page_of_the_demo(installed):
    page = Path("fer_study", "inference", "demo.html")
    assert (installed / page).read_bytes() == (ROOT / page).read_bytes()


def test_an_installed_package_knows_the_editions_of_the_folder_of_the_call(fer, tmp_path):
    """They are found first; those of the package stay."""
    for name, faces in (("mine", 500), ("smoke", 700)):
        shutil.copytree(ROOT / "params" / "smoke", tmp_path / "params" / name)
        text = (tmp_path / "params" / name / "edition.yaml").read_text().replace("faces: 600", f"faces: {faces}")
        (tmp_path / "params" / name / "edition.yaml").write_text(text)
    (tmp_path / "params" / "mine" / "07_error_analysis.yaml").unlink()
    assert "cbam_cnn" in fer("plan", "mine", "03")
    code = (
        "from fer_study.book import execute, freshness\n"
        "from fer_study.jobs import editions, stages\n"
        "print(*editions.editions(), *(stages.own_audit(name).config.data.faces for name in ('mine', 'smoke')))\n"
        "print(*execute.stage_names('mine'))\n"
        "print(freshness.settings({'edition': 'mine'})['editions']['mine']['data']['faces'])\n"
    )
    known, pages, hashed = fer(code=code).splitlines()
    assert known.split() == ["fer2013", "mine", "smoke", "synthetic", "500", "700"] and hashed == "500"
    assert "03_model_comparison" in pages and "07_error_analysis" not in pages


def test_an_installed_package_writes_to_the_folder_of_the_call_and_knows_no_commit(fer, installed, tmp_path):
    code = (
        "import os, subprocess, sys\n"
        "from fer_study.settings import checkout\n"
        "from fer_study import store\n"
        "print(checkout.PACKAGE, checkout.commit(), sep='\\n')\n"
        "os.chdir('/')\n"  # as notebooks and workers do
        "show = 'from fer_study import store; print(store.local_root())'\n"
        "print(subprocess.run([sys.executable, '-c', show], capture_output=True, text=True).stdout)\n"
    )
    assert fer(code=code).split() == [str(installed / "fer_study"), "unknown", str(tmp_path / "runs")]
