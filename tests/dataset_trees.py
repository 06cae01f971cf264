"""Small datasets of synthetic faces, each written in the exact layout in which it is published."""

import io
from functools import cache

import numpy as np
from PIL import Image

from fer_study.data.labels import EIGHT, FER2013, FERPLUS_COLUMNS, NATIVE
from fer_study.data.twin import synthetic

NUMBER = 48
SPLIT = ["train"] * 28 + ["validation"] * 10 + ["test"] * 10
LABELS = [EIGHT[i % 8] for i in range(NUMBER)]
"""Face i is of class i modulo 8, whatever it looks like."""


@cache
def _faces():
    return synthetic.make(100, seed=5, style="lab", processes=1).images[:NUMBER, 0].copy()


FACES = _faces()

VOTES = np.random.default_rng(6).multinomial(10, [0.1] * 10, NUMBER)
"""(48, 10) votes on each face, in the column order of fer2013new.csv: no two alike, so that votes on another face show."""


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **({"quality": 97} if kind == "JPEG" else {}))
    return buffer.getvalue()


def put(file, data):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data) if isinstance(data, bytes) else file.write_text(data)


def big(image, side=96):
    """A colour picture of another size."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC).convert("RGB"))


def code(dataset, name):
    """The label of a class as the dataset writes it."""
    return next(key for key, value in NATIVE[dataset].items() if value == name)


def kept(*without, splits=("train", "validation", "test")):
    """Faces that a dataset without some classes and splits holds."""
    return [i for i in range(NUMBER) if LABELS[i] not in without and SPLIT[i] in splits]


USAGE = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def fer2013_csv(root):
    """With a byte-order mark and Windows line ends, and the votes beside it."""
    pixels = [" ".join(map(str, FACES[i].ravel())) for i in kept("contempt")]
    usages = [USAGE[SPLIT[i]] for i in kept("contempt")]
    labels = [code("fer2013", LABELS[i]) for i in kept("contempt")]
    lines = ["emotion,pixels,Usage", *(f"{k},{p},{u}" for k, p, u in zip(labels, pixels, usages, strict=True))]
    put(root / "fer2013.csv", b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    crowd = [",".join(map(str, VOTES[i])) for i in kept("contempt")]
    votes = [f"{u},fer{i:07d}.png,{v}" for i, (u, v) in enumerate(zip(usages, crowd, strict=True))]
    put(root / "fer2013new.csv", "\r\n".join([f"Usage,Image name,{','.join(FERPLUS_COLUMNS)}", *votes]) + "\r\n")
    return "fer2013", "csv", root


def fer2013_usage(root):
    for i in kept("contempt"):
        folder = root / ("train" if SPLIT[i] == "train" else "test") / LABELS[i]
        put(folder / f"{USAGE[SPLIT[i]]}_{7 * i}.png", encoded(FACES[i]))
    return "fer2013", "folders with usage", root


def fer2013_numbers(root):
    """Far fewer than the official number of images: FER2013 only where it is asked for."""
    spelled = {"angry": "angry", "disgust": "disgusted", "fear": "fearful", "surprise": "surprised"}
    for i in kept("contempt"):
        folder = root / ("train" if SPLIT[i] == "train" else "test")
        put(folder / spelled.get(LABELS[i], LABELS[i]) / f"im{i}.png", encoded(FACES[i]))
    return "fer2013", "folders with numbers", root


def muxspace_legend(root):
    lines = ["user.id,image,emotion"]
    for i in kept():
        name = f"Ada_{'abcdefghijklmnopqrstuvwxyz'[i % 26]}_{i:04d}.jpg"
        lines.append(f"{i % 5},{name},{LABELS[i].upper()}")
        put(root / "images" / name, encoded(big(FACES[i]), "JPEG"))
    put(root / "data" / "legend.csv", "\n".join(lines) + "\n")
    return "muxspace", "legend", root


def ferplus(root):
    for folder, split in (("FER2013Train", "train"), ("FER2013Valid", "validation"), ("FER2013Test", "test")):
        lines = []
        for i in kept(splits=(split,)):
            counts = {name: 8 if name == LABELS[i] else 2 if name == "unknown" else 0 for name in FERPLUS_COLUMNS.values()}
            lines.append(f'fer{i:07d}.png,"(0, 0, 48, 48)",' + ",".join(str(counts[n]) for n in FERPLUS_COLUMNS.values()))
            put(root / folder / f"fer{i:07d}.png", encoded(FACES[i]))
        put(root / folder / "label.csv", "\n".join(lines) + "\n")
    return "ferplus", "folders", root


def rafdb_list(root):
    lines = []
    for i in kept("contempt", splits=("train", "test")):
        name = f"{SPLIT[i]}_{i:05d}"
        lines.append(f"{name}.jpg {code('rafdb', LABELS[i])}")
        put(root / "Image" / "aligned" / f"{name}_aligned.jpg", encoded(big(FACES[i], 100), "JPEG"))
    put(root / "EmoLabel" / "list_patition_label.txt", "\r\n".join(lines) + "\r\n")
    return "rafdb", "list", root


def rafdb_folders(root):
    for i in kept("contempt", splits=("train", "test")):
        folder = root / "DATASET" / SPLIT[i] / str(code("rafdb", LABELS[i]))
        put(folder / f"{SPLIT[i]}_{i:05d}_aligned.jpg", encoded(big(FACES[i], 100), "JPEG"))
    return "rafdb", "folders", root


def affectnet_annotations(root):
    for i in kept(splits=("train", "test")):
        folder, buffer = root / ("train_set" if SPLIT[i] == "train" else "val_set"), io.BytesIO()
        np.save(buffer, np.array(str(code("affectnet", LABELS[i]))))
        put(folder / "annotations" / f"{i}_exp.npy", buffer.getvalue())
        put(folder / "images" / f"{i}.jpg", encoded(big(FACES[i]), "JPEG"))
    return "affectnet", "annotations", root


def affectnet_folders(root):
    for i in kept(splits=("train", "test")):
        folder = root / ("train" if SPLIT[i] == "train" else "val") / str(code("affectnet", LABELS[i]))
        put(folder / f"image{i:07d}.jpg", encoded(big(FACES[i]), "JPEG"))
    return "affectnet", "folders", root


def affectnet_tables(root):
    head = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    lines = {"training.csv": [head], "validation.csv": [head]}
    for i in kept(splits=("train", "test")):
        picture = np.zeros((160, 200, 3), np.uint8)
        picture[20:116, 30:126] = big(FACES[i])
        put(root / "Manually_Annotated_Images" / f"{i % 3}" / f"{i}.jpg", encoded(picture, "JPEG"))
        table = "training.csv" if SPLIT[i] == "train" else "validation.csv"
        lines[table].append(f"{i % 3}/{i}.jpg,30,20,96,96,1.5;2.5,{code('affectnet', LABELS[i])},0.1,-0.2")
    lines["training.csv"].append("0/none.jpg,30,20,96,96,1;2,9,-2,-2")  # uncertain: dropped
    for name, text in lines.items():
        put(root / name, "\n".join(text) + "\n")
    return "affectnet", "tables", root


def expw(root):
    lines, here = [], kept("contempt")
    for first, second in zip(here[::2], here[1::2], strict=True):  # two faces in a picture
        picture = np.zeros((120, 220, 3), np.uint8)
        for number, i in enumerate((first, second)):
            left = 4 + 110 * number
            picture[10:106, left : left + 96] = big(FACES[i])
            label = code("expw", LABELS[i])
            lines.append(f"picture {first}.jpg {number} 10 {left} {left + 96} 106 55.5 {label}")
        put(root / "origin" / f"picture {first}.jpg", encoded(picture, "JPEG"))
    put(root / "label.lst", "\n".join(lines))
    return "expw", "list", root


def ckplus(root):
    names = {"angry": "anger", "sad": "sadness"}
    for i in kept("neutral"):
        put(root / names.get(LABELS[i], LABELS[i]) / f"S{i % 11:03d}_004_{i:08d}.png", encoded(FACES[i]))
    return "ckplus", "folders", root


def jaffe(root):
    people = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
    for i in kept("contempt"):
        put(root / f"{people[i % 10]}.{code('jaffe', LABELS[i])}1.{i}.tiff", encoded(FACES[i], "TIFF"))
    for name in ("README", "README_FIRST.txt", "jaffe.pdf", "notes.md"):
        put(root / name, "no image")
    return "jaffe", "files", root


def folders(root):
    spelled = {"angry": "0_Anger", "happy": "Happiness", "fear": "FEARFUL"}
    for i in kept():
        folder = root / {"validation": "Valid"}.get(SPLIT[i], SPLIT[i]) / spelled.get(LABELS[i], LABELS[i])
        put(folder / f"face é {i}.png", encoded(FACES[i]))
    put(root / "train" / "Thumbs.db", b"x")
    return "folders", "folders", root


TREES = [
    fer2013_csv, fer2013_usage, muxspace_legend, ferplus, rafdb_list, rafdb_folders, affectnet_annotations,
    affectnet_folders, affectnet_tables, expw, ckplus, jaffe, folders,
]  # fmt: skip


def tree(name, root):
    """Writes the dataset of this name, and gives its path back."""
    return next(t for t in TREES if t.__name__ == name)(root)[2]


def class_folders(root, splits=("train", "test"), name="{}.png", classes=FER2013, n=1):
    """A small set of one's own; every image is another."""
    images = np.random.default_rng(3).integers(0, 256, (len(splits) * len(classes) * n, 48, 48), dtype=np.uint8)
    for i, image in enumerate(images):
        split, rest = splits[i // (len(classes) * n)], i % (len(classes) * n)
        put(root / split / classes[rest // n] / name.format(i), encoded(image))
    return root


_WITHOUT = dict.fromkeys(("fer2013", "rafdb", "expw", "jaffe"), ("contempt",)) | {"ckplus": ("neutral",)}
_SPLITS = {"rafdb": ("train", "test"), "affectnet": ("train", "test")}


def truth(dataset, classes):
    """Face -> (class, split) of what a reader must give back."""
    here = kept(*_WITHOUT.get(dataset, ()), splits=_SPLITS.get(dataset, ("train", "validation", "test")))
    return {i: (LABELS[i], SPLIT[i]) for i in here if LABELS[i] in EIGHT[:classes]}


def dropped(dataset, classes, layout):
    """Class -> images that the reader must drop and count."""
    lost = len(truth(dataset, 8)) - len(truth(dataset, classes))
    return ({"contempt": lost} if lost else {}) | ({"uncertain": 1} if layout == "tables" else {})
