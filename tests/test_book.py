"""The book and the repository around it: every page exists, nothing comes from a CDN, nothing private is committed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import yaml

from fer_study.book import execute
from fer_study.jobs.editions import load_edition

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
STAGES = (
    "01_dataset_audit", "02_class_weighting", "03_model_comparison", "04_ablations", "05_label_distribution",
    "06_cross_dataset", "07_error_analysis",
)  # fmt: skip
EDITIONS = ("fer2013", "synthetic")
LABS = tuple(f"labs/{path.stem}" for path in sorted((ROOT / "notebooks" / "labs").glob("[0-9]*.ipynb")))
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users|tmp|private|mnt)/\w+|[A-Z]:\\\\?Users\\")
LOCK_LINE = re.compile(r"[a-z0-9][a-z0-9-]*==[\w.+!]+( ; [^#]+)?")
SCRIPT_OR_LINK = re.compile(r"<(?:script|link|iframe)[^>]*https?:", re.IGNORECASE)
FOREIGN_STYLE = re.compile(r"url\(.?https?:|@import .?https?:")


def toc_files() -> list[str]:
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    return [toc["root"]] + [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]


def prose_pages() -> list[str]:
    return [name for name in toc_files() if name.split("/")[0] not in EDITIONS and name not in LABS]


def tracked_files() -> list[Path]:
    """Files that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def tracked_text() -> list[tuple[str, str]]:
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192] and path.suffix not in {".parquet", ".npz", ".png"}:
            found.append((path.relative_to(ROOT).as_posix(), content.decode("utf-8", errors="replace")))
    return found


def test_every_prose_page_of_the_toc_exists():
    assert [name for name in prose_pages() if not (BOOK / f"{name}.md").is_file()] == []


def test_every_prose_page_is_in_the_toc():
    pages = {p.relative_to(BOOK).with_suffix("").as_posix() for p in BOOK.rglob("*.md") if "_build" not in p.parts}
    assert pages == set(prose_pages())


@pytest.mark.parametrize(
    ("edition", "first", "last"),
    [
        ("fer2013", ["00_claims", "08_findings"], ["gallery", "design", "emonext", "resface", "hybrid", "initial_weights"]),
        (
            "synthetic",
            ["twin", "twin_networks"],
            ["method_blocks", "method_losses", "method_statistics", "method_labels", "method_gradcam"],
        ),
    ],
)
def test_toc_lists_every_page_of_both_editions(edition, first, last):
    listed = [name.split("/")[1] for name in toc_files() if name.startswith(f"{edition}/")]
    left_out = load_edition(edition).when_named
    stages = [name for name in STAGES if name not in left_out]
    assert listed == [*first, *stages, *last] and sorted(listed) == execute.page_names(edition)
    assert sorted([*listed, *left_out]) == execute.stage_names(edition)


def test_toc_lists_every_lab():
    listed = tuple(name for name in toc_files() if name.startswith("labs/"))
    assert LABS and listed == ("labs/index", *LABS, "labs/teaching", "labs/slides")


def test_every_citation_is_in_the_bibliography():
    known = set(re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(), re.MULTILINE))
    texts = [path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb")]
    texts += [(BOOK / f"{name}.md").read_text() for name in prose_pages()]
    cited = {
        key.strip()
        for text in texts
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
        for key in group.split(",")
    }
    assert cited - known == set()
    assert known - cited == set(), "listed, but never cited"


def test_book_settings_fetch_nothing():
    settings = (BOOK / "_config.yml").read_text()
    assert "://" not in settings
    config = yaml.safe_load(settings)["sphinx"]["config"]
    assert config["nb_ipywidgets_js"] == {}
    assert "sphinx_thebe" not in config["extensions"]


def test_no_page_or_style_loads_from_elsewhere():
    sources = [p for p in BOOK.rglob("*") if p.suffix in {".md", ".css", ".html", ".ipynb"} and "_build" not in p.parts]
    offenders = [p.name for p in sources if SCRIPT_OR_LINK.search(text := p.read_text()) or FOREIGN_STYLE.search(text)]
    assert offenders == []


def test_lock_file_has_names_and_versions_only():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert len(lines) > 100
    assert [line for line in lines if not LOCK_LINE.fullmatch(line) or "/" in line] == []
    names = {line.split("==")[0] for line in lines}
    assert {"torch", "torchvision", "papermill", "jupyter-book", "pytest", "ruff", "dask"} <= names


def test_the_lock_without_cuda_is_the_lock_without_cuda():
    both = [(ROOT / name).read_text().splitlines() for name in ("requirements.lock", "requirements-cpu.lock")]
    assert both[1] == [line for line in both[0] if not re.match("nvidia-|cuda-|triton==", line)]
    assert len(both[0]) - len(both[1]) > 15


def test_no_stage_has_a_threshold_of_its_own():
    """What an edition audits with is in its parameters only."""
    for path in sorted((ROOT / "notebooks").glob("0[2-7]*.ipynb")):
        assert "near_threshold" not in path.read_text(), path.name


def test_no_machine_paths_in_tracked_text():
    found = [f"{name}: {hit.group()}" for name, text in tracked_text() for hit in MACHINE_PATH.finditer(text)]
    assert found == []


def test_no_notebook_source_has_outputs():
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count"), f"{path.name} has outputs"


def test_conda_and_citation_files_agree_with_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert {"pip": ["-r requirements.lock", "-e ."]} in environment["dependencies"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{citation["version"]}"' in project
    assert citation["license"] in project


def build(book: Path) -> str:
    """Build a copy of the book as `make html` does; returns what was printed."""
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", "-W", "-n", "--keep-going", book],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture
def prose_book(tmp_path) -> Path:
    """The book with the executed pages that are there; of the others a title, and nothing that is glued from them."""
    book = tmp_path / "book"
    shutil.copytree(BOOK, book, ignore=shutil.ignore_patterns("_build", ".ipynb_checkpoints"))
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)  # a page includes it
    missing = [book / f"{name}.ipynb" for name in toc_files() if not any(book.glob(f"{name}.*"))]
    for page in missing:
        page.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {page.stem}")]), page)
    for page in book.rglob("*.md"):

        def known(glued: re.Match[str], folder: Path = page.parent) -> str:
            return "-" if (folder / glued[1]).resolve() in missing else glued[0]

        page.write_text(re.sub(r"\{glue:\w+\}`([^`]+\.ipynb)::[^`]*`", known, page.read_text()))
    return book


def test_prose_builds_without_a_warning(prose_book):
    build(prose_book)
    page = (prose_book / "_build" / "html" / "index.html").read_text()
    assert "re-executed" in page
    assert not SCRIPT_OR_LINK.search(page)
    assert not (prose_book / "_build" / "html" / "mathjax").exists()


def test_a_number_that_changes_changes_where_it_is_quoted(tmp_path):
    book = tmp_path / "book"
    for name in ("_ext", "_static"):
        shutil.copytree(BOOK / name, book / name)
    for name in ("_config.yml", "references.bib"):
        shutil.copy(BOOK / name, book / name)
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters: [{file: made}, {file: quoting}]\n")
    (book / "index.md").write_text("# Front\n")
    (book / "quoting.md").write_text("# Quoting\n\nIt is {glue:text}`made.ipynb::number:s`.\n")
    for number in ("4711", "1174"):
        metadata = {"scrapbook": {"name": "number", "mime_prefix": "application/papermill.record/"}}
        output = nbformat.v4.new_output(
            "display_data", {"application/papermill.record/text/plain": repr(number)}, metadata=metadata
        )
        cells = [nbformat.v4.new_markdown_cell("# Made"), nbformat.v4.new_code_cell("1", outputs=[output])]
        language = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=language), book / "made.ipynb")
        build(book)
        quoting = (book / "_build" / "html" / "quoting.html").read_text()
        assert re.search(rf"It is (<[^>]*>)*{number}\b", quoting)


@pytest.mark.bench
def test_second_build_is_fast(prose_book):
    times = []
    for _ in range(2):
        start = time.perf_counter()
        build(prose_book)
        times.append(time.perf_counter() - start)
    print(f"HTML build of the prose: first {times[0]:.1f} s, again {times[1]:.1f} s")
    assert times[1] < 20


def test_a_checkout_has_the_same_bytes_whatever_git_is_told_of_line_ends(tmp_path):
    clone = ["git", "clone", "-q", "-c", "core.autocrlf=true", "--depth", "1", f"file://{ROOT}", str(tmp_path / "clone")]
    if subprocess.run(clone, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    shown = subprocess.run(["git", "ls-files", "--eol"], cwd=tmp_path / "clone", capture_output=True, text=True, check=True)
    assert len(shown.stdout.splitlines()) > 300
    assert [line for line in shown.stdout.splitlines() if "crlf" in line or "mixed" in line] == []
