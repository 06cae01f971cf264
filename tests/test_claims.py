"""The claims table: complete, consistent, and read as it is written."""

from __future__ import annotations

import csv
import re

import pytest

from fer_study.analysis import claims
from fer_study.settings.errors import InputError


def test_every_row_of_the_file_is_a_claim_with_an_id_of_its_own():
    with claims.PATH.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {9}, "a comma outside of quotation marks"
    ids = [row[0] for row in rows[1:]]
    assert len(ids) == len(set(ids)) == 120
    assert list(claims.load().index) == ids
    assert [i for i in ids if not re.fullmatch(r"[a-z]+-\d\d", i)] == []


def test_kinds_sources_and_statements():
    table = claims.load()
    assert set(table["kind"]) == set(claims.KINDS)
    assert table["source"].str.fullmatch(r"00[0-4]_[0-9a-f]{16}\.txt").all()
    assert table["source"].nunique() == 5
    assert (table["statement"].str.len() > 10).all() and (table["system"] != "").all()


def test_reported_values():
    assert claims.reported("ladder-04") == 0.6218
    assert [claims.reported(claim) for claim in claims.matching("ladder-0[1-4]").index] == [0.5826, 0.5972, 0.5313, 0.6218]
    assert claims.reported("data-01") == 35887


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("ladder-99", "unknown claim 'ladder-99'; known: data-01"),
        ("data-05", r"data-05: '0.65 \+- 0.05' is no single number"),
        ("weight-04", "weight-04: '' is no single number"),
    ],
)
def test_what_has_no_number_is_refused(claim, message):
    with pytest.raises(InputError, match=message):
        claims.reported(claim)


def test_claims_are_chosen_by_pattern():
    assert list(claims.matching("ladder-0[1-3]").index) == ["ladder-01", "ladder-02", "ladder-03"]
    assert len(claims.matching("*")) == len(claims.load())
    with pytest.raises(InputError, match=r"no claim matches 'nothing-\*'; ids are data-01, weight-01, ladder-01, "):
        claims.matching("nothing-*")
