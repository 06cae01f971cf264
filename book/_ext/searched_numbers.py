"""Find numbers such as 71.7 with the book's own search (for Sphinx; see ``_config.yml``).

Sphinx takes a point for the end of a word, and ignores whole numbers in what is searched for.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

WORD = re.compile(r"\d+\.\d+|\w+")


class EnglishWithNumbers(SearchEnglish):
    """Reads a number with a decimal point as one word, in pages and in what is searched for."""

    js_splitter_code = r"""
function splitQuery(query) {
  return query.match(/\d+\.\d+|[\p{Letter}\p{Number}_]+/gu) ?? [];
}
"""

    def split(self, input: str) -> list[str]:
        """Split a text into words."""
        return WORD.findall(input)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_search_language(EnglishWithNumbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
