"""The sheets of the synthetic twin show what they say: drawn portraits, and the cells of its page."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fer_study.data.labels import FER2013
from fer_study.data.twin import draw_face, synthetic
from fer_study.data.twin.portraits import draw_portraits
from notebook_cells import run_notebook


@pytest.fixture(scope="module")
def sheets() -> dict:
    """The cells of the page that draw; no audit is made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer_study.book.notebook.open_stage", lambda *_, **__: SimpleNamespace(audits=(None, None)))
        return run_notebook("twin", only=[f"twin-{cell}" for cell in ("01", "02", "04", "06", "09", "11", "13", "14")])


def test_faces_by_class_are_neither_blank_nor_copies(sheets):
    faces = sheets["wild"]
    rows = sheets["rows_of"](faces, 3)
    assert rows.shape == (7, 3) and not faces.truth["blank"][rows].any() and (faces.truth["duplicate_of"][rows] < 0).all()
    assert (faces.truth["true_label"][rows] == np.arange(7)[:, None]).all()


def test_each_action_unit_alone(sheets):
    sheet = sheets["alone"][[0, 2, 3]].astype(int)
    assert sheet.shape == (3, len(synthetic.ACTION_UNITS), 48, 48)
    assert (sheet[0] == sheet[0, 0]).all(), "without an action unit every column is the same face"
    moved = np.abs(sheet - sheet[0]).sum(axis=(2, 3))
    assert (moved[1] > 0).all() and (moved[2] > moved[1]).all()
    change = np.abs(sheet[2] - sheet[0])
    brow, jaw = (synthetic.ACTION_UNITS.index(unit) for unit in (4, 26))
    assert change[brow, :24].sum() > change[brow, 24:].sum() and change[jaw, 24:].sum() > change[jaw, :24].sum()
    assert tuple(sheets["actions"]) == synthetic.ACTION_UNITS


def test_each_degradation_changes_the_picture(sheets):
    assert sheets["spoiled"].shape == (2, len(sheets["degradations"]), 48, 48)
    for row in sheets["spoiled"]:
        assert len({image.tobytes() for image in row}) == len(row)


def test_a_portrait_is_of_its_person_and_of_nothing_else():
    still = np.zeros((3, len(synthetic.ACTION_UNITS)))
    one, same, other = draw_portraits([3, 3, 8], still)
    assert (one == same).all() and (one != other).any()
    assert (draw_portraits([3], still[:1], [{"gain": 0.72}])[0].mean() < one.mean()).all()


def test_one_face_from_action_units():
    smile, still = draw_face({12: 1.0, 6: 0.7}, person=3), draw_face({}, person=3)
    assert smile.shape == (48, 48) and smile.dtype == np.uint8 and (smile != still).any()
    row = np.zeros((1, len(synthetic.ACTION_UNITS)))
    assert (still == draw_portraits([3], row)[0]).all() and (still == draw_face({26: 0}, np.int64(3))).all()
    row[0, [synthetic.ACTION_UNITS.index(unit) for unit in (6, 12)]] = 0.7, 1.0
    assert (smile == draw_portraits([3], row)[0]).all() and (smile == draw_face({6: np.float32(0.7), 12: 1}, 3)).all()
    assert (smile != draw_face({12: 1.0, 6: 0.7})).any(), "another person"


@pytest.mark.parametrize(
    ("units", "person", "said"),
    [
        ({3: 1.0}, 0, "unknown action unit 3; allowed: 1, 2, 4, "),
        ({"12": 1.0}, 0, "unknown action unit '12'"),
        ({True: 1.0}, 0, "unknown action unit True"),
        ([12, 6], 0, "units are [12, 6]; allowed: such as {12: 1.0, 6: 0.7}"),
        ({12: 1.5}, 0, "action unit 12 has intensity 1.5; allowed: 0 to 1"),
        ({12: -0.1}, 0, "intensity -0.1"),
        ({12: float("nan")}, 0, "intensity nan"),
        ({12: "all"}, 0, "intensity 'all'"),
        ({}, -1, "person is -1; allowed: a whole number, 0 or more"),
        ({}, 1.5, "person is 1.5"),
        ({}, "Ann", "person is 'Ann'"),
        ({}, True, "person is True"),
    ],
)
def test_a_face_that_cannot_be_drawn_is_refused(units, person, said):
    with pytest.raises(ValueError) as error:
        draw_face(units, person)
    assert said in str(error.value)


def test_marked_faces(sheets):
    images, points, regions = sheets["marked"]
    assert images.shape == (7, 48, 48) and points.shape == (7, 22, 2)
    shown = {name: {r for r, plane in zip(synthetic.REGION_NAMES, planes, strict=True) if plane.any()}
             for name, planes in zip(FER2013, regions, strict=True)}  # fmt: skip
    assert shown == {name: set(moved) for name, moved in synthetic.CLASS_REGIONS.items()}


def test_mixtures(sheets):
    table = sheets["mixtures"].groupby(sheets["true_class"], observed=False).sum()
    counts = np.bincount(sheets["wild"].truth["true_label"], minlength=7)
    assert table.sum(axis=1).to_numpy() == pytest.approx(counts, rel=1e-5) and list(table.index) == list(FER2013)
    assert (np.diag(table) > counts / 2).all()
    peaks = sheets["peaks"]
    assert list(peaks.index) == list(FER2013) and (peaks[0.05] > 0.5).all()
    assert ((peaks[0.05] <= peaks[0.5]) & (peaks[0.5] <= peaks[0.95])).all()
