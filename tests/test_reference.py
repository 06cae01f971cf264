"""The reference of the book says what the package says: its doors, its fields, its options and its commands."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from typing import Annotated, Literal

import pytest
from pydantic import Field

import fer_study
from fer_study import audit, cli, data, models, plots
from fer_study.settings.checkout import ROOT
from fer_study.settings.frozen import Frozen

sys.path.append(str(ROOT / "book" / "_ext"))
reference = importlib.import_module("reference")

PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "book" / "api").glob("*.md")}
NOT_DOORS = {"emonext", "hybrid", "ladder", "resface", "small", "timm_models"}
"""Modules that a room lists among its names."""


def test_every_room_has_a_page():
    rooms = {module.name for module in pkgutil.iter_modules(fer_study.__path__) if module.ispkg}
    assert rooms | {"index", "command_line"} == set(PAGES)


@pytest.mark.parametrize(("name", "room"), [("models", models), ("audit", audit), ("data", data)])
def test_what_a_room_exports_is_on_its_page(name, room):
    """Constants aside, and what is of another room."""
    for door in getattr(room, "__all__", ()):
        thing = getattr(room, door)
        if callable(thing) and thing.__module__.startswith(room.__name__) and door not in NOT_DOORS:
            listed = re.search(rf"automodule:: {re.escape(thing.__module__)}\n   :members:(.*)", PAGES[name])
            assert listed and (not listed[1] or door in re.findall(r"\w+", listed[1])), door


def test_all_plots_are_listed():
    assert plots.__all__ and ":imported-members:" in PAGES["plots"]


class Sample(Frozen):
    """For the table of fields.

    Attributes:
        count, other: numbers.
        word: goes
            on.
    """

    count: Annotated[int, Field(ge=1)]
    other: Annotated[float, Field(gt=0, lt=1)] | None = None
    word: Literal["a", "b"] = "a"
    pair: tuple[float, float] = (0.5, 2.0)


def test_a_config_shows_its_fields_with_what_they_may_be():
    lines = ["Sample."]
    reference.add_fields(None, "class", "Sample", Sample, None, lines)
    cells = [line.strip().lstrip("*").strip().removeprefix("- ") for line in lines if " - " in line]
    rows = [cells[i : i + 3] for i in range(0, len(cells), 3)]
    assert rows == [
        ["field", "allowed", "default"],
        ["``count``", "whole number from 1", "has to be said"],
        ["``other``", "number above 0 below 1 or nothing", "none"],
        ["``word``", "``a``, ``b``", "``a``"],
        ["``pair``", "two of: number", "``(0.5, 2.0)``"],
    ]


def test_two_names_before_a_colon_are_two_names():
    lines = Sample.__doc__.splitlines()
    lines = [line.removeprefix("    ") for line in lines]
    reference.read_google_style(None, "class", "Sample", Sample, None, lines)
    text = "\n".join(lines)
    assert "* ``count``, ``other``: numbers." in text and "* ``word``: goes\n  on." in text
    assert reference.list_attributes([":param a, b: both"]) == [":param a,b: both"]


def test_every_network_is_listed_with_its_options():
    groups = reference.networks()
    assert {name for names in groups.values() for name in names} == {*models.names(), "timm:<name>"} - {"timm"}
    (options,) = [options for options, names in groups.items() if "cbam_cnn" in names]
    assert ("attention", "``True``", "true or false") in options and ("width", "``1.0``", "from 0.125") in options
    (options,) = [options for options, names in groups.items() if "emonext_tiny" in names]
    assert ("se", "``before``", "``none``, ``before``, ``after``") in options


def test_a_command_shows_its_usage_its_options_and_what_it_adds():
    parser = cli.build_parser()
    (commands,) = [action for action in parser._actions if action.dest == "command"]
    for name, command in commands.choices.items():
        shown = "\n".join(node.astext() for node in reference.usage_and_options(command))
        assert shown.startswith(f"fer-study {name}")
        for action in command._actions[1:]:  # after --help
            assert all(option in shown for option in action.option_strings), name
            assert action.help is not None or action.dest == "action", f"{name} {action.dest} has no help"
    (actions,) = [action for action in commands.choices["data"]._actions if action.dest == "action"]
    assert reference.usage_and_options(actions.choices["doctor"])[-1].astext().startswith("layouts:")


@pytest.mark.parametrize("name", ["settings", "store", "models", "plots", "analysis", "training", "jobs"])
def test_the_examples_run(name):
    """Those that need no data and no notebook."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)
    exec(example, {})


def test_parameters_of_a_long_signature_are_lines():
    """A list of definitions without terms is no HTML that can be read aloud."""
    line = '<dd><em class="sig-param"><span>{}</span></em>,</dd>\n'
    context = {"body": f"(<dl>\n{line.format('a')}{line.format('b')}</dl>) <dl><dt>a</dt><dd>b</dd></dl>"}
    reference.plain_parameters(None, "api/audit", "page.html", context, None)
    assert context["body"].count('<span class="parameter">') == 2
    assert context["body"].endswith("</span>) <dl><dt>a</dt><dd>b</dd></dl>")
