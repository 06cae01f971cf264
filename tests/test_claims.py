"""The claims table: complete, consistent, and read as it is written."""

from __future__ import annotations

import csv
import re

import pytest

from fer_study.analysis import claims
from fer_study.analysis.claim_rows import read_rows
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


def test_the_parameters_of_lhc_netc_are_those_of_its_layers():
    """From the code of its authors: a pre-activation ResNet-34 at 224 px, five attention modules, three dense layers."""

    def dense(inputs, outputs):
        return (inputs + 1) * outputs

    def convolution(inputs, outputs, kernel):
        return inputs * outputs * kernel**2

    def module(channels, side, heads, embedding):  # queries and keys share a layer a head; values have a bias
        values = convolution(channels, channels, 3) + channels
        return heads * dense(side**2 // heads, embedding) + dense(channels, channels) + values

    trunk, inputs = 3 + convolution(3, 64, 7) + 2 * 64, 64  # the first normalisation has no scale
    for outputs, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for first in [True] + [False] * (blocks - 1):
            trunk += 2 * inputs + convolution(inputs, outputs, 3) + 2 * outputs + convolution(outputs, outputs, 3)
            trunk += convolution(inputs, outputs, 1) if first else 0
            inputs = outputs
    head = 2 * 512 + dense(512, 4096) + dense(4096, 1024) + dense(1024, 7)
    modules = [(64, 56, 8, 196), (64, 56, 8, 196), (128, 28, 7, 56), (256, 14, 7, 14), (512, 7, 1, 25)]
    check = read_rows()[1]["emonext-29"].checks[1]
    assert check.constants["lhc"] == trunk + head + sum(module(*one) for one in modules)
