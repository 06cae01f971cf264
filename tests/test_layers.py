"""Who may import whom (the rooms and doors of the module), and who stays free of torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fer_study

ROOT = Path(fer_study.__file__).parent

LAYERS = (
    {"errors", "checkout", "processes", "notebook"},
    {"record_files"},
    {"weight_origin", "frozen"},
    {"labels", "config", "claims", "modes", "yaml_files"},
    {"data", "augment", "losses", "models", "metrics", "predictions", "recipes", "state_dicts"},
    {"runs"},
    {"audit"},
    {"protocol", "sources", "predict", "imagenet"},
    {"explain", "evaluation", "checkpoint"},
    {"editions", "device", "baseline", "weights"},
    {"stages", "train", "transfer"},
    {"study", "obstacles", "cluster"},
    {"queue"},
    {"plan", "freshness"},
    {"execute"},
    {"labs"},
    {"cli"},
)
"""A module imports from rows above its own only; modules of one package import each other freely."""

SIDE = {
    "plots": {"labels", "plots"},
    "verdicts": {"errors", "claims", "metrics"},
    "diff": {"errors", "runs"},
    "report": {"errors", "checkout", "labels", "config", "claims", "metrics", "runs", "verdicts", "plots"},
    "analysis": {
        "analysis",
        "checkout",
        "claims",
        "config",
        "editions",
        "errors",
        "frozen",
        "labels",
        "metrics",
        "predictions",
        "recipes",
        "runs",
        "stages",
        "verdicts",
        "yaml_files",
    },
}
"""Modules beside the layers, and all that they may import; of the layers only ``execute`` and ``cli`` may import them."""

TORCH_FREE = {
    "layers": [
        "errors",
        "labels",
        "config",
        "recipes",
        "claims",
        "metrics",
        "runs",
        "protocol",
        "evaluation",
        "sources",
        "checkout",
        "weight_origin",
    ],
    "data": ["data", "data.doctor", "data.synthetic", "audit", "baseline"],
    "sides": [
        "plots",
        "report",
        "verdicts",
        "diff",
        "analysis.ledger",
        "analysis.runs_table",
        "execute",
        "labs",
        "cli",
    ],
}

PAGES_ONLY = {"pages"}
"""Helpers of the notebooks: they may import all but the doors, and nothing imports them."""


def own_imports(path: Path) -> set[str]:
    """Rooms (top-level names below ``fer_study``) that a file imports, at its top or inside functions."""
    package, found = path.relative_to(ROOT).parts[:-1], set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            parts = (*above, *(node.module or "").split(".")) if node.module else above
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fer_study":
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("fer_study.")}
    return found


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def allowed(room: str) -> set[str]:
    """Rooms that a room may import."""
    if room in SIDE:
        return SIDE[room]
    below: set[str] = {"__init__"}
    if room in PAGES_ONLY:
        return below.union(*LAYERS[:-3], SIDE, PAGES_ONLY)
    for layer in LAYERS:
        if room in layer:
            return below | {room} | (set(SIDE) if room in ("execute", "cli") else set())
        below |= layer
    raise AssertionError(f"{room} is in no layer: put it where it belongs, here and in the design")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    room = room_of(path)
    wrong = own_imports(path) - allowed(room)
    assert not wrong, (
        f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}; allowed: {', '.join(sorted(allowed(room)))}"
    )


def test_the_reader_of_imports_sees_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "x.py"
    path.write_text(
        "from . import a\nfrom ..b import c\nfrom .. import d\nimport fer_study.e.f\ndef g():\n    from fer_study import h\n"
    )
    assert own_imports(path) == {"data", "b", "d", "e", "h"}


def test_every_layer_names_a_room():
    rooms = {room_of(path) for path in FILES}
    assert not set().union(*LAYERS, SIDE) - rooms
    assert sum(map(len, LAYERS)) == len(set().union(*LAYERS))


def test_functions_stay_small():
    """A limit on the lines of a file, which stood here, made code denser and not clearer."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= 60, f"{path.name}: {node.name} has {lines} lines, allowed: 60"


def test_no_torch_where_none_is_needed():
    """One process imports them one after the other and names the first that brings torch along."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module('fer_study.' + name)\n"
        "    assert 'torch' not in sys.modules, name + ' imports torch'\n"
    )
    names = [name for group in TORCH_FREE.values() for name in group]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]


def test_the_command_line_starts_light():
    code = "import sys, fer_study.cli; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"torch", "pandas", "numpy", "scipy", "sklearn", "pydantic", "matplotlib", "timm"}
