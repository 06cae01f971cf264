"""What a page says of itself."""

from __future__ import annotations

import pytest
from page_records import make_record, two_epochs

from fer_study.pages.page import Page


def test_the_time_of_a_training_is_at_least_that_of_its_epochs(tmp_path):
    """Early records left out the epochs before an interruption."""
    history = two_epochs().assign(seconds=[600.0, 600.0])
    short, whole = (
        make_record(tmp_path, 20, name=n, history=history, env={"seconds": s}) for n, s in (("a", 60), ("b", 1260))
    )
    bare = make_record(
        tmp_path, 20, name="c", history=two_epochs()[["epoch"]].iloc[:0], env={"seconds": 6}
    )  # HOG + SVM, a transfer
    stated = Page("smoke").provenance([short, whole, bare, None]).loc["training time in all", "value"]
    assert float(stated.removesuffix(" min")) == pytest.approx((1200 + 1260 + 6) / 60)
