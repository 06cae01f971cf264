"""Small datasets of random pixels in every layout, for the tests of the readers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_trees import encoded
from fer_study.data import Options, load
from fer_study.data.labels import FER2013, FERPLUS_COLUMNS, VOTE_NAMES
from fer_study.settings.errors import InputError

USAGES = ["Training"] * 8 + ["PublicTest"] * 3 + ["PrivateTest"] * 3
SPLITS = ["train"] * 8 + ["validation"] * 3 + ["test"] * 3
LABELS = [i % 7 for i in range(14)]
SKIP = Options(skip_bad=True)

NAMES = [
    "Ada_Example_0001.jpg",
    "Ada_Example_0002.jpg",
    "Bob_Van_Sample_0001.jpg",
    "Cleo_7.jpg",
    "facial-expressions_12k.jpg",
]
EMOTIONS = ["Happiness", "anger", "SADNESS", "contempt", "neutral"]


def write_muxspace(folder, emotions=EMOTIONS, user_id="Dora"):
    pixels = np.random.default_rng(2).integers(0, 256, (96, 80), dtype=np.uint8)
    table = {"image": structs([pixels] * 5, NAMES, "JPEG"), "emotion": emotions, "user_id": [user_id] * 5}
    pq.write_table(pa.table(table | {"width": [80] * 5, "height": [96] * 5}), folder / "faces.parquet")
    return folder


def random_images():
    """(14, 48, 48) uint8 random pixels."""
    return np.random.default_rng(0).integers(0, 256, (14, 48, 48), dtype=np.uint8)


def random_votes():
    """(14, 10) votes of ten people in the column order of fer2013new.csv."""
    return np.random.default_rng(1).multinomial(10, [0.1] * 10, 14)


def structs(images, names=None, kind="PNG"):
    return [{"bytes": encoded(x, kind), "path": names[i] if names else f"{i}.png"} for i, x in enumerate(images)]


def write_parquet(folder, images, votes=None, name="part-0.parquet", **columns):
    folder.mkdir(exist_ok=True)
    data = {"row": list(range(len(images))), "image": structs(images), "label": LABELS, "usage": USAGES}
    if votes is not None:
        data |= {f"ferplus_{c}": votes[:, i] for i, c in enumerate(FERPLUS_COLUMNS)}
    data = {k: v for k, v in (data | columns).items() if v is not None}
    pq.write_table(pa.table(data), folder / name)
    return folder


def csv_rows(images):
    return [[str(k), " ".join(map(str, x.ravel())), u] for k, x, u in zip(LABELS, images, USAGES, strict=True)]


def write_csv(folder, rows, header=("emotion", "pixels", "Usage"), name="fer2013.csv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(",".join(r) for r in [header, *rows]) + "\n")
    return folder


def write_votes(folder, votes, usages=USAGES):
    rows = [[u, f"fer{i:07d}.png", *map(str, v)] for i, (u, v) in enumerate(zip(usages, votes, strict=True))]
    header = ["Usage", "Image name", *FERPLUS_COLUMNS]
    (folder / "fer2013new.csv").write_text("\n".join(",".join(r) for r in [header, *rows]) + "\n")


def check(faces, images):
    assert faces.name == "fer2013" and faces.classes == FER2013
    assert faces.images.shape == (14, 1, 48, 48) and (faces.images[:, 0] == images).all()
    assert faces.labels.tolist() == LABELS and faces.split.tolist() == SPLITS
    assert len(set(faces.ids)) == 14


def check_votes(faces, votes):
    assert faces.votes.dtype == np.uint8
    for i, column in enumerate(FERPLUS_COLUMNS.values()):
        assert (faces.votes[:, VOTE_NAMES.index(column)] == votes[:, i]).all()


def fails(path, *parts, dataset=None, verify=False, options=None):
    """Loading fails with one line that contains every part."""
    with pytest.raises(InputError) as caught:
        load(path, dataset, verify, options)
    message = str(caught.value)
    assert "\n" not in message
    assert not [p for p in parts if str(p) not in message], message


def save(image, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file)
