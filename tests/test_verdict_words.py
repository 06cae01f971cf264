"""Pages say of a claim what the ledger says of it: a record that changes a verdict sends us back to the text."""

import re

import nbformat
import pytest

from fer_study.analysis import ledger, verdicts
from fer_study.book import execute

WORDS = sorted({word for words in verdicts.WORDS.values() for word in words}, key=len, reverse=True)
CLAIM = r"`((?:data|weight|ladder|hybrid|resface|emonext)-\d\d)`"
SAID = re.compile(rf"((?:{CLAIM}[,;]?\s*(?:and |to )?)+)\)?(?::| is | are | stays | stay )([^`().]*)")


@pytest.fixture(scope="module")
def decided():
    return {verdict.claim: verdict for verdict in ledger.ledger()}


def said(text: str) -> list[tuple[str, str]]:
    """Claims and what is said of them in italics behind them, as in "`ladder-04`: *reproduced*"."""
    found = []
    for match in SAID.finditer(" ".join(text.split())):
        italics = re.findall(r"\*([^*]+)\*", match[3])
        words = [next((word for word in WORDS if text.startswith(word)), None) for text in italics]
        found += [(claim, word) for claim in re.findall(CLAIM, match[1]) for word in words if word]
    return found


def test_what_is_said_is_found():
    text = "(`ladder-01`, `ladder-02`: *consistent*; `weight-05`: at our scale, one seed, *contradicted*). *Right* is none."
    assert said(text) == [("ladder-01", "consistent"), ("ladder-02", "consistent"), ("weight-05", "contradicted")]
    text = "What is (`data-01`) is *right at our scale*, and `data-02` and\n`data-03` are *open*."
    assert said(text) == [("data-01", "right"), ("data-02", "open"), ("data-03", "open")]


@pytest.mark.parametrize("name", sorted(path.stem for path in execute.NOTEBOOKS.glob("*.ipynb")))
def test_pages_say_what_the_ledger_says(name, decided):
    notebook = nbformat.read(execute.NOTEBOOKS / f"{name}.ipynb", 4)
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    other = [(claim, word) for claim, word in said(text) if word not in {part.word for part in decided[claim].parts}]
    assert other == [], {claim: decided[claim].word for claim, _ in other}
