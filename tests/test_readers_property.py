"""Damaged trees and tables, thrown at every reader: one clear line or the right labels, never a traceback."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dataset_trees import FACES, LABELS, TREES, VOTES
from fer_study.data import Options, load
from fer_study.data.doctor import doctor, render
from fer_study.data.labels import EIGHT
from fer_study.data.votes import FILE_ORDER
from fer_study.settings.errors import InputError

TABLES = (".csv", ".txt", ".lst")


def damage_file(file: Path, kind: str, seed: int) -> None:
    """One thing that happens to files."""
    rng, data = np.random.default_rng(seed), file.read_bytes()
    if kind == "cut":
        file.write_bytes(data[: rng.integers(0, max(len(data) - 1, 1))])
    elif kind == "text":
        file.write_text("this is no image\n")
    elif kind == "noise":
        file.write_bytes(rng.bytes(int(rng.integers(0, 300))))
    elif kind == "gone":
        file.unlink()
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "upper":
        file.rename(file.with_name(file.name.upper()))
    elif kind == "bytes":
        os.rename(os.fsencode(file), os.fsencode(file.parent) + b"/\xff\xfe\n" + os.fsencode(file.name))
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    elif kind == "link":
        file.unlink()
        file.symlink_to("nowhere")


def damage_table(file: Path, kind: str, seed: int) -> None:
    """One thing that happens to tables; a label is never turned into another valid one, for nobody could tell."""
    rng, lines = np.random.default_rng(seed), file.read_bytes().split(b"\n")
    row = int(rng.integers(0, len(lines)))
    if kind == "cut":
        lines = [*lines[:row], lines[row][: len(lines[row]) // 2]]
    elif kind == "text":
        lines[row] = b"\xc3\x28,\x00," + lines[row]
    elif kind == "noise":
        lines[row] = rng.bytes(20).replace(b"\n", b"").replace(b"\r", b"")
    elif kind == "gone":
        del lines[row]
    elif kind == "empty":
        lines = [b""]
    elif kind == "upper":
        lines = [b"\xef\xbb\xbf" + b"\r\n".join(lines)]
    elif kind == "bytes":
        lines[row] = lines[row] + b",9"
    elif kind == "folder":
        lines.insert(row, lines[row])
    elif kind == "link":
        lines[row] = lines[row].replace(b",", b";")
    file.write_bytes(b"\n".join(lines))


KINDS = ("cut", "text", "noise", "gone", "empty", "upper", "bytes", "folder", "link")
damages = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(KINDS), st.integers(0, 10_000)), min_size=1, max_size=4)


def check_labels(faces) -> None:
    """Every face that came back, told by its picture, has the label, and the votes, that were written for it."""
    joined = faces.name == "fer2013" and faces.votes is not None
    crowd = faces.votes[:, FILE_ORDER] if joined else [None] * len(faces)
    for image, label, votes in zip(faces.images[:, 0].astype(int), faces.labels, crowd, strict=True):
        error = np.abs(FACES.astype(int) - image).mean(axis=(1, 2))
        if error.min() < 12:  # a cut picture may be half gray, and is then refused or nobody's
            assert EIGHT[label] == LABELS[int(error.argmin())]
            if votes is not None:
                assert votes.tolist() == VOTES[int(error.argmin())].tolist()


@pytest.mark.parametrize("tree", TREES, ids=lambda t: t.__name__)
@given(damages=damages)
@example(damages=[(28, "bytes", 0)])  # of AffectNet, an image whose name is no text and whose label is gone
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_damaged_trees(tree, damages):
    root = Path(tempfile.mkdtemp())
    try:
        _, _, path = tree(root / "data")
        files = sorted(x for x in path.rglob("*") if x.is_file())
        tables = [x for x in files if x.suffix in TABLES]
        for number, kind, seed in damages:
            some = tables if tables and number % 3 == 0 else files
            file = some[number % len(some)]
            if file.is_file() and not file.is_symlink():
                (damage_table if file.suffix in TABLES else damage_file)(file, kind, seed)
        for options in (Options(classes=8), Options(classes=8, skip_bad=True)):
            try:
                faces = load(path, verify=False, options=options)
            except InputError as error:
                assert "\n" not in str(error) and str(error).isprintable(), str(error)
            else:
                check_labels(faces)
                assert options.skip_bad or not faces.left_out
        render(doctor(path, options=Options(classes=8)))
    finally:
        shutil.rmtree(root)


NAMES = ("fer2013.csv", "label.lst", "legend.csv", "x.parquet", "list_patition_label.txt", "training.csv")


@given(data=st.binary(max_size=400), name=st.sampled_from(NAMES))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_noise_as_a_table(data, name):
    root = Path(tempfile.mkdtemp())
    try:
        (root / name).write_bytes(data)
        for path in (root, root / name):
            with pytest.raises(InputError) as caught:
                load(path)
            assert "\n" not in str(caught.value)
            assert doctor(path)["problems"]
    finally:
        shutil.rmtree(root)
