"""The sheets of the synthetic twin show what they say."""

from __future__ import annotations

import numpy as np
import pytest

from fer_study.book.pages import twin_sheets
from fer_study.data.labels import FER2013
from fer_study.data.twin import synthetic


@pytest.fixture(scope="module")
def faces():
    return synthetic.make(400, seed=0, processes=1)


def test_faces_by_class_are_neither_blank_nor_copies(faces):
    sheet = twin_sheets.by_class(faces, 3)
    assert sheet.shape == (7, 3, 48, 48)
    for row, name in zip(sheet, FER2013, strict=True):
        for image in row:
            found = np.flatnonzero((faces.images[:, 0] == image).all(axis=(1, 2)))
            assert {FER2013[k] for k in faces.truth["true_label"][found]} == {name}
            assert (faces.truth["duplicate_of"][found] < 0).any() and not faces.truth["blank"][found].any()


def test_each_action_unit_alone():
    sheet = twin_sheets.by_action_unit([0, 0.5, 1], person=3).astype(int)
    assert sheet.shape == (3, len(synthetic.ACTION_UNITS), 48, 48)
    assert (sheet[0] == sheet[0, 0]).all(), "without an action unit every column is the same face"
    moved = np.abs(sheet - sheet[0]).sum(axis=(2, 3))
    assert (moved[1] > 0).all() and (moved[2] > moved[1]).all()
    change = np.abs(sheet[2] - sheet[0])
    brow, jaw = (synthetic.ACTION_UNITS.index(unit) for unit in (4, 26))
    assert change[brow, :24].sum() > change[brow, 24:].sum() and change[jaw, 24:].sum() > change[jaw, :24].sum()
    assert set(twin_sheets.ACTIONS) == set(synthetic.ACTION_UNITS)


def test_each_degradation_changes_the_picture():
    sheet = twin_sheets.by_degradation([3, 8])
    assert sheet.shape == (2, len(twin_sheets.DEGRADATIONS), 48, 48)
    for row in sheet:
        assert len({image.tobytes() for image in row}) == len(row)


def test_marked_faces(faces):
    images, points, regions = twin_sheets.marked(faces)
    assert images.shape == (7, 48, 48) and points.shape == (7, 22, 2)
    shown = {name: {r for r, plane in zip(synthetic.REGION_NAMES, planes, strict=True) if plane.any()}
             for name, planes in zip(FER2013, regions, strict=True)}  # fmt: skip
    assert shown == {name: set(moved) for name, moved in synthetic.CLASS_REGIONS.items()}


def test_mixtures(faces):
    table, (median, low, high) = twin_sheets.mixtures(faces), twin_sheets.peaks(faces)
    counts = np.bincount(faces.truth["true_label"], minlength=7)
    assert table.sum(axis=1).to_numpy() == pytest.approx(counts, rel=1e-5) and list(table.index) == list(FER2013)
    assert (np.diag(table) > counts / 2).all()
    assert ((low <= median) & (median <= high)).all(axis=None) and (low > 0.5).all(axis=None)
