"""An import is what was written, to the last byte, or it is refused on load with the file and what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dataset_trees import TREES, class_folders, put, tree
from fer_study import cli
from fer_study.data import Options, canonical, find, import_to, load
from fer_study.data.doctor import doctor
from fer_study.data.fingerprints import fingerprint_of
from fer_study.settings.errors import InputError
from reader_trees import SKIP, fails

ROOT = Path(__file__).parents[1]


@pytest.fixture
def imported(tmp_path):
    """Folders of 28 images, imported."""
    return import_to(class_folders(tmp_path / "raw", n=2), tmp_path / "a.faces")[1]


def rewrite(path, **changes):
    """Changes what an import says of itself; None removes a key."""
    file = path / "faceset.json"
    head = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in head.items() if value is not None}, indent=1) + "\n")
    return path


# --------------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("write", TREES, ids=lambda t: t.__name__)
def test_import_is_the_same_set(tmp_path, write):
    dataset, _, path = write(tmp_path / "raw")
    options = Options(classes=8)
    plain = load(path, verify=False, options=options)
    made, target = import_to(path, tmp_path / f"{dataset}.faces", options=options)
    again = load(target, verify=False, options=options)
    for faces in (made, again):
        assert faces.fingerprint == plain.fingerprint == fingerprint_of(faces)
        assert (faces.ids == plain.ids).all() and faces.dropped == plain.dropped
        assert (faces.votes is None) == (plain.votes is None) and (faces.targets is None) == (plain.targets is None)
        assert faces.attributes.equals(plain.attributes) or not len(plain.attributes.columns)
        assert isinstance(faces.images, np.memmap)
    assert find(dataset, tmp_path, verify=False, options=options).fingerprint == plain.fingerprint
    fails(target, "imported with 8 classes, 7 are asked for", options=Options())
    assert doctor(target)["fingerprint"] == plain.fingerprint


def test_import_by_command(tmp_path, monkeypatch, caplog):
    path = tree("rafdb_list", tmp_path / "raw")
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path))
    assert cli.main(["data", "import", str(path), "--size", "32"]) == 0
    assert load(tmp_path / "rafdb.faces", verify=False).images.shape[2:] == (32, 32)
    (path / "EmoLabel" / "list_patition_label.txt").write_text("damaged")
    with pytest.raises(InputError, match=r"rafdb\.faces: is there already"):  # told before anything is read
        import_to(path)
    assert cli.main(["data", "import", str(path), "--size", "4", "--to", str(tmp_path / "x")]) == 2
    import_to(class_folders(tmp_path / "part", ("train",)))
    assert "imported all the same" in caplog.text and "no test images" in caplog.text


def test_a_broken_import_leaves_nothing(tmp_path):
    path = tree("folders", tmp_path / "raw")
    bad = sorted(path.rglob("*.png"))[5]
    bad.write_bytes(bad.read_bytes()[:60])
    put(tmp_path / "raw" / "empty.csv", "emotion,pixels,Usage\n")
    for broken, why in ((path, "cannot decode"), (tmp_path / "raw" / "empty.csv", "no images in it")):
        with pytest.raises(ValueError, match=why):
            import_to(broken, tmp_path / "a.faces")
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]
    faces, _ = import_to(path, tmp_path / "folders.faces", options=SKIP)
    assert faces.left_out == {"image cannot be decoded": 1}


SLOW = """
import sys, time
from fer_study import cli
from fer_study.data.readers import folders
def wait(file):
    print("begun", flush=True)
    time.sleep(60)
folders.open_upright = wait
sys.exit(cli.main(["data", "import", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_an_import_that_is_ended(tmp_path, end):
    """Asked to end, the command clears away; killed, the next import does, and while it lives no other may begin."""
    raw, target = class_folders(tmp_path / "raw"), tmp_path / "out" / "a.faces"
    command = [sys.executable, "-c", SLOW, str(raw), "--to", str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout.readline() == b"begun\n"
        with pytest.raises(InputError, match="another process is importing to it"):
            import_to(raw, target)
        process.send_signal(end)
        process.wait(30)
    left = sorted(x.name for x in target.parent.iterdir())
    assert left == ([] if end == signal.SIGTERM else [".a.faces.lock", ".a.faces.part"])
    assert not canonical.is_canonical(target.with_name(".a.faces.part"))
    import_to(raw, target)
    assert [x.name for x in target.parent.iterdir()] == ["a.faces"]


def test_a_full_disk_is_that_of_the_target(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(canonical, "_write_table", full)
    with pytest.raises(InputError, match=r"a\.faces: cannot be written: No space left on device"):
        import_to(class_folders(tmp_path / "raw"), tmp_path / "a.faces")
    assert [x.name for x in tmp_path.iterdir()] == ["raw"]


# --------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("name", ["images.npy", "faces.parquet", "faceset.json"])
def test_any_change_of_a_byte_is_refused(imported, capsys, name):
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
        fails(imported, file, "import the dataset again")
    assert cli.main(["data", "doctor", str(imported)]) == 2 and str(imported) in capsys.readouterr().out
    file.unlink()
    if name != "faceset.json":
        fails(imported, "import it again")
    file.write_bytes(whole)
    assert len(load(imported)) == 28


def test_other_rows_and_other_forms_are_refused(imported):
    """Attributes are in no fingerprint; their digest holds them."""
    file = imported / "faces.parquet"
    whole, table = file.read_bytes(), pd.read_parquet(file)
    for column, value in (("label", 4), ("split", "validation"), ("id", "other"), ("attribute_person", "a")):
        values = [value, *table.get(column, table["id"])[1:]]
        table.assign(**{column: values}).to_parquet(file, index=False)
        fails(imported, file, "import the dataset again")
    file.write_bytes(whole)
    assert len(load(imported)) == 28
    fails(rewrite(imported, format=1), "canonical form 1, this version reads 2; import it again")
    (imported / "faceset.json").write_text("{")
    fails(imported, "the canonical form is damaged")
    (imported / "faceset.json").unlink()
    assert not canonical.is_canonical(imported)


def test_an_import_without_digests_is_read_by_its_fingerprint(imported):
    faces = load(rewrite(imported, sha256=None, mark=None))
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
    hashed, real = [], canonical.sha256
    monkeypatch.setattr(canonical, "sha256", lambda file: hashed.append(file.name) or real(file))
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
