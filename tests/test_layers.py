"""Who may import whom stands in ``pyproject.toml``; here it is checked, with what else keeps the module light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import fer_study

ROOT = Path(fer_study.__file__).parents[1]
ROOMS = ("settings", "store", "data", "analysis", "plots", "audit", "jobs.baseline", "cli")
"""Rooms that work without torch."""


def test_each_floor_imports_only_lower_ones():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1500:]


def test_functions_stay_small():
    """Statements are counted, for a limit on lines makes code denser and not clearer."""
    for path in (ROOT / "fer_study").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                count = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node))
                assert count <= 40, f"{path.name}: {node.name} has {count} statements, allowed: 40"


def test_no_torch_where_none_is_needed():
    """One process imports them one after the other and names the first that brings torch along."""
    code = (
        "import importlib, pkgutil, sys\n"
        "for room in sys.argv[1:]:\n"
        "    module = importlib.import_module('fer_study.' + room)\n"
        "    parts = pkgutil.walk_packages(getattr(module, '__path__', []), module.__name__ + '.')\n"
        "    for name in [module.__name__, *(part.name for part in parts)]:\n"
        "        importlib.import_module(name)\n"
        "        assert 'torch' not in sys.modules, name + ' imports torch'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *ROOMS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]


def test_the_command_line_starts_light():
    code = "import sys, fer_study.cli; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"torch", "pandas", "numpy", "scipy", "sklearn", "pydantic", "matplotlib", "timm"}
