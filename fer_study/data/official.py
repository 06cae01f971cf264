"""What the datasets are: publication, licence, size, label order, official counts and fingerprints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..labels import FER2013
from .faceset import SPLITS, FaceSet


@dataclass(frozen=True)
class Dataset:
    """A dataset and its terms.

    Attributes:
        title: as in tables.
        publication: key in ``book/references.bib``.
        images: number and kind.
        labels: its own order or spelling.
        split: whose split it is.
        licence: terms of use.
    """

    title: str
    publication: str
    images: str
    labels: str
    split: str
    licence: str


_REQUEST = "research only, on request from its authors"

DATASETS = {
    "fer2013": Dataset("FER2013", "goodfellow2013challenges", "35,887 gray, 48 px", "0 angry ... 6 neutral (our order)",
                       "official: Training, PublicTest, PrivateTest", "research use (Kaggle ICML 2013 challenge)"),
    "ferplus": Dataset("FER+", "barsoum2016ferplus", "the images of FER2013, ten votes each",
                       "neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF",
                       "that of FER2013", "votes: MIT"),
    "rafdb": Dataset("RAF-DB", "li2017rafdb", "15,339 in colour, 100 px aligned",
                     "1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, 7 neutral", "official train and test",
                     _REQUEST),
    "affectnet": Dataset("AffectNet", "mollahosseini2019affectnet", "about 291,651 in colour (8 classes)",
                         "0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 angry, 7 contempt",
                         "official train; the published validation split is our test", _REQUEST),
    "expw": Dataset("ExpW", "zhang2018expw", "91,793 faces in web pictures, cut out by box", "0 angry ... 6 neutral",
                    "ours, by picture", _REQUEST),
    "ckplus": Dataset("CK+48", "lucey2010ckplus", "981 gray, 48 px", "folders; contempt, no neutral", "ours, by person",
                      _REQUEST),
    "jaffe": Dataset("JAFFE", "lyons1998jaffe", "213 gray, 256 px", "AN, DI, FE, HA, SA, SU, NE in the file name",
                     "ours, by person", _REQUEST),
    "muxspace": Dataset("muxspace", "muxspace", "13,690 gray, at most 350 px", "names in mixed case, with contempt",
                        "ours, by person", "Apache-2.0"),
    "folders": Dataset("your own", "", "any", "folder names in any known spelling", "its own", "its own"),
}  # fmt: skip
"""Every dataset that can be read."""

OFFICIAL_COUNTS = {
    "fer2013": {
        "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
        "validation": (467, 56, 496, 895, 653, 415, 607),
        "test": (491, 55, 528, 879, 594, 416, 626),
    },
    "rafdb": {
        "train": (705, 717, 281, 4772, 1982, 1290, 2524),
        "test": (162, 160, 74, 1185, 478, 329, 680),
    },
    "muxspace": {
        "train": (198, 190, 15, 4561, 180, 280, 5456),
        "validation": (22, 4, 4, 602, 41, 49, 818),
        "test": (32, 14, 2, 533, 47, 39, 594),
    },
}
"""Dataset -> split -> images by class, in the order of ``labels.FER2013``. FER2013: 28,709 + 3,589 + 3,589. RAF-DB: 12,271 +
3,068. muxspace: our split by person of 13,690 images less 9 of contempt."""

OFFICIAL_TOTALS = {
    "ckplus": (135, 177, 75, 207, 84, 249, 0, 54),
    "jaffe": (30, 29, 32, 31, 31, 30, 30, 0),
}
"""Dataset without official split -> images by class, in the order of ``labels.EIGHT``."""

FINGERPRINTS = {"fer2013": "d6f4311b00ec234e", "muxspace": "098c89d93327d3a2"}
"""Dataset -> ``FaceSet.fingerprint`` of the complete set in the row order of its source: FER2013 from parquet or CSV,
muxspace from parquet (faces of at most 96 px as JPEG, so that another JPEG decoder may give another one)."""


def official_counts(dataset: str) -> pd.DataFrame:
    """The official counts in the form of ``FaceSet.counts()``: splits x (classes + total)."""
    table = pd.DataFrame.from_dict(OFFICIAL_COUNTS[dataset], orient="index", columns=list(FER2013))
    table["total"] = table.sum(axis=1)
    table.index.name, table.columns.name = "split", "class"
    return table


def difference(faces: FaceSet) -> str | None:
    """How a set differs from the official counts of its dataset, in one line; None where it does not."""
    if faces.name in OFFICIAL_TOTALS:
        found = faces.counts()[list(faces.classes)].sum()
        official = pd.Series(OFFICIAL_TOTALS[faces.name][: faces.num_classes], index=list(faces.classes))
        wrong = [name for name in faces.classes if found[name] != official[name]]
        if not wrong:
            return None
        more = f", and {len(wrong) - 1} more of {faces.num_classes} counts" if len(wrong) > 1 else ""
        return (f"{len(faces)} images, official {official.sum()}; {wrong[0]} has {found[wrong[0]]}, "
                f"official {official[wrong[0]]}{more}")  # fmt: skip
    if faces.name not in OFFICIAL_COUNTS:
        return None
    official = official_counts(faces.name)
    found = faces.counts().reindex(index=SPLITS, columns=official.columns, fill_value=0)
    official = official.reindex(list(SPLITS), fill_value=0)
    wrong = np.argwhere((found != official).to_numpy()[:, :-1])
    if not len(wrong):
        return None
    row, column = SPLITS[wrong[0][0]], FER2013[wrong[0][1]]
    more = f", and {len(wrong) - 1} more of {len(SPLITS) * len(FER2013)} counts" if len(wrong) > 1 else ""
    return (
        f"{len(faces)} images, official {official['total'].sum()}; "
        f"{row} {column} has {found.loc[row, column]}, official {official.loc[row, column]}{more}"
    )
