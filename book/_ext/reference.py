"""Show what the package says of itself (for Sphinx; see ``_config.yml``): Google docstrings, the
fields of configs, the options of networks, and the help of the command line."""

from __future__ import annotations

import argparse
import functools
import inspect
import re
import textwrap
from collections.abc import Iterable

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util.docutils import SphinxDirective

from fer_study import cli
from fer_study.settings.checkout import PACKAGE
from fer_study.settings.frozen import Frozen

GOOGLE = Config(napoleon_use_ivar=True, napoleon_use_rtype=False, napoleon_attr_annotations=False)
BOUNDS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "exclusiveMaximum": "below",
}
PARAMETERS = re.compile(r'<dl>\s*((?:<dd><em class="sig-param.*?</dd>\s*)+)</dl>', re.DOTALL)
SEVERAL = re.compile(r"^:param \w+(, \w+)+:")
WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "nothing",
    "object": "names with values",
}
"""Type in a JSON schema -> what people call it."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", read_google_style)
    app.connect("autodoc-process-docstring", add_fields)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("env-before-read-docs", look_at_networks)
    app.connect("html-page-context", plain_parameters)
    app.add_directive("commands", Commands)
    app.add_directive("networks", Networks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def plain_parameters(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Write the parameters of a long signature as lines: Sphinx makes definitions of them that
    define nothing, which is wrong for those who hear a page."""
    if page.startswith("api/"):
        context["body"] = PARAMETERS.sub(as_lines, context["body"])


def as_lines(found: re.Match[str]) -> str:
    """The parameters of one signature, a line each."""
    lines = found[1].replace("<dd>", '<span class="parameter">').replace("</dd>", "</span>")
    return f'<span class="parameters">{lines}</span>'


def is_config(obj: object) -> bool:
    """Whether something is a class of configs."""
    return inspect.isclass(obj) and issubclass(obj, Frozen)


def read_google_style(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turn a Google docstring into reStructuredText.

    Napoleon's own handler would take what stands before a colon in an attribute's text for its
    type.
    """
    kind = "object" if what in ("attribute", "data", "property") else what
    read = GoogleDocstring(list(lines), GOOGLE, app, kind, name, obj, options).lines()
    lines[:] = list_attributes(read)


def list_attributes(lines: list[str]) -> list[str]:
    """Make a plain list of fields such as ``:ivar folds, fold: text``: Sphinx would take the first
    of two names for the type of the second, also among parameters, which stay as they are but for
    the space between their names."""
    found, inside = [], False
    for line in lines:
        if attribute := re.match(r":ivar ([^:]+): *(.*)", line):
            names = ", ".join(f"``{name}``" for name in attribute[1].split(", "))
            found += [*([] if inside else [""]), f"* {names}: {attribute[2]}"]
            inside = True
        elif inside and line.startswith(" "):
            found.append(f"  {line.strip()}")
        else:
            inside = False
            found.append(SEVERAL.sub(lambda names: names[0].replace(", ", ","), line))
    return found


def add_fields(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Give the docstring of a config a table of its fields: name, what is allowed, default."""
    if not is_config(obj) or not obj.model_fields:
        return
    schema = obj.model_json_schema()
    rows = []
    for field, about in obj.model_fields.items():
        given = about.get_default(call_default_factory=True)
        default = "has to be said" if about.is_required() else default_in_words(given)
        rows.append((field, allowed(schema["properties"][field]), default))
    lines += ["", *field_table(("field", "allowed", "default"), rows), ""]


def default_in_words(value: object) -> str:
    """What a field holds when nothing is said."""
    if isinstance(value, Frozen):
        return f"as in ``{type(value).__name__}``"
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"``{value}``" if value else "empty"
    return f"``{value}``"


def allowed(schema: dict) -> str:
    """Say in words what a JSON schema allows."""
    if "$ref" in schema:
        return f"``{schema['$ref'].rpartition('/')[2]}``"
    if "allOf" in schema:
        return " and ".join(map(allowed, schema["allOf"]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(allowed, schema["anyOf"])))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"``{value}``" for value in values)
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"two of: {allowed(schema['prefixItems'][0])}"
        return f"list of: {allowed(schema['items'])}" if "items" in schema else "list"
    return f"{WORDS[schema['type']]}{bounds(schema)}" if "type" in schema else "anything"


def bounds(schema: dict) -> str:
    """The range of a number, such as `` from 0 to 1``."""
    return "".join(f" {word} {schema[key]:g}" for key, word in BOUNDS.items() if key in schema)


def field_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A table of fields as reStructuredText; the first column is code."""
    text = [".. list-table::", "   :header-rows: 1", "   :class: fields", ""]
    for row in (head, *((f"``{first}``", *rest) for first, *rest in rows)):
        text += [f"   {'*' if place == 0 else ' '} - {cell}" for place, cell in enumerate(row)]
    return text


def shorten_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, returned: str
) -> tuple[str, str] | None:
    """Leave a config without the list of its fields, which stand in a table below."""
    return ("", returned) if is_config(obj) and what == "class" else None


def leave_out(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool:
    """Leave out constants of modules, and what pydantic and named tuples bring along."""
    constant = what == "module" and not (inspect.isclass(obj) or inspect.isroutine(obj))
    brought = name in ("model_config", "added", "unkeyed") or type(obj).__name__ == "_tuplegetter"
    return skip or constant or brought


class Networks(SphinxDirective):
    """Table every registered network with its options, their defaults and what they may be."""

    def run(self) -> list[nodes.Node]:
        for file in (PACKAGE / "models").glob("*.py"):
            self.env.note_dependency(str(file))
        text: list[str] = []
        for options, names in networks().items():
            text += [", ".join(f"``{name}``" for name in names), ""]
            text += [*field_table(("option", "default", "allowed"), options), ""]
        block = nodes.container()
        self.state.nested_parse(StringList(text, "networks"), self.content_offset, block)
        return block.children


def look_at_networks(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Call ``networks`` before any page is read that needs it: autodoc puts the text of a default
    in place of its value, in the signatures themselves."""
    if "api/models" in pages:
        networks()


@functools.cache
def networks() -> dict[tuple, list[str]]:
    """Options -> networks that have them."""
    from fer_study import (
        models,
    )  # here, for it imports torch, which an unchanged book does not need

    groups: dict[tuple, list[str]] = {}
    for name in models.names():
        known = "timm:<name>" if name == "timm" else name
        groups.setdefault(options_in_words(known), []).append(known)
    return groups


def options_in_words(name: str) -> tuple[tuple[str, str, str], ...]:
    """The options of a network: name, default, and what is allowed."""
    from fer_study.models.registry import RANGES, choices_of, options_of

    choices, rows = choices_of(name), []
    for option, default in options_of(name).items():
        if option in choices:
            words = ", ".join(f"``{value}``" for value in choices[option])
        elif option in RANGES and not isinstance(default, bool):
            least, below = RANGES[option]
            words = f"from {least:g}" + ("" if below == float("inf") else f", below {below:g}")
        else:
            words = {bool: "true or false", int: "whole number", float: "number", str: "text"}[
                type(default)
            ]
        rows.append((option, f"``{default}``", words))
    return tuple(rows)


class Commands(SphinxDirective):
    """Write the help of every command of ``fer-study``, as its parser has it."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(cli.__file__)
        parser = cli.build_parser()
        return [*usage_and_options(parser), *self.commands_of(parser)]

    def commands_of(self, parser: argparse.ArgumentParser) -> list[nodes.section]:
        """A section a command; the commands that it parts into have sections within it."""
        sections = []
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction):
                continue
            for choice, command in zip(
                action._choices_actions, action.choices.values(), strict=True
            ):
                section = nodes.section(ids=[nodes.make_id(command.prog)], names=[command.prog])
                section += [nodes.title("", command.prog), sentence(choice.help)]
                section += [sentence(command.description)] if command.description else []
                section += [*usage_and_options(command), *self.commands_of(command)]
                self.state.document.note_implicit_target(section)
                sections.append(section)
        return sections


def usage_and_options(parser: argparse.ArgumentParser) -> list[nodes.Node]:
    """What one parser says: its usage, what it takes, and what it adds to its help."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    whole = re.sub(r"\[[^\[\]]*\]", lambda option: option[0].replace(" ", "\0"), usage)
    lines = textwrap.wrap(whole, 76, subsequent_indent="    ", break_on_hyphens=False)
    found: list[nodes.Node] = [in_terminal("\n".join(lines).replace("\0", " "))]
    options = nodes.definition_list()
    for action in parser._actions:
        if action.help and not isinstance(
            action, argparse._SubParsersAction | argparse._HelpAction
        ):
            name = parser._get_formatter()._format_action_invocation(action)
            term = nodes.term("", "", nodes.literal("", name))
            options += nodes.definition_list_item(
                "", term, nodes.definition("", sentence(action.help))
            )
    found += [options] if options.children else []
    added = parser.format_help().removeprefix(argparse.ArgumentParser.format_help(parser)).strip()
    return [*found, in_terminal(added)] if added else found


def sentence(text: str) -> nodes.paragraph:
    """A paragraph that begins and ends as a sentence does."""
    return nodes.paragraph("", text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."))


def in_terminal(text: str) -> nodes.literal_block:
    """A block of text as a terminal shows it."""
    return nodes.literal_block(text, text, language="text")
