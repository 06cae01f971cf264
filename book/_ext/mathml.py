"""Write formulas as MathML, which browsers set without a script (for Sphinx; see ``_config.yml``).

MathJax, the default, is a script of 2.3 MB on every page with a formula.
"""

from __future__ import annotations

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

LETTER = re.compile(r'<mi mathvariant="(\w+)">(\w)</mi>')
WORD = re.compile(r"<mrow>((?:%s){2,})</mrow>" % LETTER.pattern)
FUNCTION = r"<mi>[a-z]{2,}</mi>"
AHEAD = re.compile(rf"(?<=</m)(i|sub|text|frac)>({FUNCTION})")
BEHIND = re.compile(rf"({FUNCTION})(?!<mo[^>]*>&#x00028;|<mspace|</mrow>)")
SPACE = '<mspace width="0.167em" />'


def mathml(tex: str, display: str) -> str:
    """Convert a formula; ``display`` is "inline" or "block".

    DEVIATION: three things that latex2mathml leaves to MathML 3, which browsers do not know: a word
    in one font is one element, a function's name keeps its distance, a space has a width.
    """
    formula = WORD.sub(_word, convert(tex, display=display))
    formula = BEHIND.sub(rf"\1{SPACE}", AHEAD.sub(rf"\1>{SPACE}\2", formula))
    return formula.replace('"negativethinmathspace"', '"-0.167em"').replace(
        '<mo accent="true">&#x02015;</mo>', '<mo stretchy="true">&#x000AF;</mo>'
    )


def _word(found: re.Match[str]) -> str:
    (font, _), *_ = letters = LETTER.findall(found[1])
    word = "".join(letter for _, letter in letters)
    return f"<mi>{word}</mi>" if font == "normal" else f'<mtext class="{font}">{word}</mtext>'


def checked(node: nodes.Node, display: str) -> str:
    """Convert a formula, and warn of a command that latex2mathml does not know: it would show it."""
    formula = mathml(node.astext(), display)
    if "\\" in formula:
        logger.warning("not set as MathML: %s", node.astext(), location=node)
    return formula


def write_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a sentence."""
    translator.body.append(f'<span class="math">{checked(node, "inline")}</span>')
    raise nodes.SkipNode


def write_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number where it has one."""
    scrolls = {"role": "math", "tabindex": "0"}
    translator.body.append(translator.starttag(node, "div", "", CLASS="math", **scrolls))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(f"{checked(node, 'block')}</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
