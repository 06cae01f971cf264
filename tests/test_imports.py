"""An import is what was written, to the last byte, or it is refused on load with the file and what to do."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from dataset_trees import FACES, LABELS, encoded, put
from reader_trees import fails

from fer_study import cli
from fer_study.data import canonical, import_to, load


@pytest.fixture
def imported(tmp_path):
    """Folders of 28 images, imported."""
    for i in range(28):
        put(tmp_path / "raw" / ("train" if i < 21 else "test") / LABELS[i % 7] / f"{i}.png", encoded(FACES[i]))
    return import_to(tmp_path / "raw", tmp_path / "a.faces")[1]


def without_digests(path):
    """As imports were written before there were digests."""
    file = path / "faceset.json"
    head = json.loads(file.read_text())
    del head["sha256"], head["mark"]
    file.write_text(json.dumps(head, indent=1) + "\n")
    return path


@pytest.mark.parametrize("name", ["images.npy", "faces.parquet", "faceset.json"])
def test_any_change_of_a_byte_is_refused(imported, name):
    """20 places of each file, drawn at random; of ``faceset.json`` those that are no space."""
    file, rng = imported / name, np.random.default_rng(0)
    whole = file.read_bytes()
    places = [i for i in rng.permutation(len(whole)) if name != "faceset.json" or not whole[i : i + 1].isspace()]
    for place in places[:20]:
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(7))
        file.write_bytes(changed)
        fails(imported, imported, "again")
    if name != "faceset.json":
        fails(imported, file)
    file.write_bytes(whole)
    assert len(load(imported)) == 28


def test_the_command_says_it(imported, capsys):
    file = imported / "images.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000] + bytes(1000))
    assert cli.main(["data", "doctor", str(imported), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert str(file) in problem and "import the dataset again" in problem
    file.unlink()
    fails(imported, imported, "import it again")


def test_an_import_without_digests_is_read_by_its_fingerprint(imported):
    faces = load(without_digests(imported))
    assert len(faces) == 28 and isinstance(faces.images, np.memmap)
    file = imported / "images.npy"
    whole = file.read_bytes()
    for place in np.random.default_rng(1).integers(128, len(whole), 20):
        changed = bytearray(whole)
        changed[place] ^= 255
        file.write_bytes(changed)
        fails(imported, file, "import it again")
    file.write_bytes(whole.replace(b"'fortran_order': False", b"'fortran_order': True ", 1))
    fails(imported, file)
    file.write_bytes(whole)
    assert load(imported).fingerprint == faces.fingerprint


def test_large_files_are_hashed_again_only_when_they_changed(imported, monkeypatch):
    monkeypatch.setattr(canonical, "SMALL", 0)
    hashed, real = [], canonical._sha256
    monkeypatch.setattr(canonical, "_sha256", lambda file: hashed.append(file.name) or real(file))
    for expected in (["images.npy", "faces.parquet"], []):
        load(imported)
        assert hashed == expected
        hashed.clear()
    canonical.read(imported, check=True)
    assert hashed == ["images.npy", "faces.parquet"]
    file = imported / "images.npy"
    whole, about = file.read_bytes(), file.stat()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))  # as a tool that keeps times would
    fails(imported, file)
    fails(imported, file)  # a refused state is not remembered
    file.write_bytes(whole)
    load(imported)
    copy = imported.with_name("b.faces")
    shutil.copytree(imported, copy)
    hashed.clear()
    load(copy)
    assert hashed == ["images.npy", "faces.parquet"]
    (copy / ".checked.json").write_text("[1]")
    load(copy)
    (copy / "images.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    fails(copy, copy / "images.npy")


def test_people_cannot_be_moved(imported):
    """Attributes are in the table, and in no fingerprint: its digest holds them."""
    table = pd.read_parquet(imported / "faces.parquet")
    table.assign(attribute_person="a").to_parquet(imported / "faces.parquet", index=False)
    fails(imported, imported / "faces.parquet")
