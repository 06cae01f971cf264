"""What the datasets are: publication, licence, size, label order, official counts and fingerprints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .faceset import SPLITS, FaceSet
from .fingerprints import FINGERPRINTS as FINGERPRINTS
from .labels import EIGHT, FER2013
from .rows import many


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
                        "ours, by name of the file", "Apache-2.0"),
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

OFFICIAL_CONFLICTS = {"fer2013": 57, "muxspace": 1}
"""Dataset -> groups of equal images with different labels in the complete set, as it was published (counted)."""

OFFICIAL_TOTALS = {
    "ckplus": (135, 177, 75, 207, 84, 249, 0, 54),
    "jaffe": (30, 29, 32, 31, 31, 30, 30, 0),
}
"""Dataset without official split -> images by class, in the order of ``labels.EIGHT``."""


PUBLISHED_COUNTS = {
    "affectnet": {"train": (24882, 3803, 6378, 134415, 25459, 14090, 74874, 3750), "test": (500,) * 8},
}
"""Dataset of which parts are common -> split -> images by class, in the order of ``labels.EIGHT``: reported, never refused.
AffectNet: its release of eight classes, validation as test."""


def official_counts(dataset: str) -> pd.DataFrame:
    """The official counts in the form of ``FaceSet.counts()``: splits x (classes + total)."""
    table = pd.DataFrame.from_dict(OFFICIAL_COUNTS[dataset], orient="index", columns=list(FER2013))
    table["total"] = table.sum(axis=1)
    table.index.name, table.columns.name = "split", "class"
    return table


def difference(faces: FaceSet, missing: int = 0) -> str | None:
    """How a set differs from the official counts of its dataset, in one line; None where it does not.

    Args:
        missing: so many images may be missing, for their rows were left out; more of a class there may never be.
    """
    if faces.name in OFFICIAL_TOTALS:
        official = pd.DataFrame([OFFICIAL_TOTALS[faces.name][: faces.num_classes]], ["all"], list(faces.classes))
        found = faces.counts()[list(faces.classes)].sum().to_frame("all").T
    elif faces.name in OFFICIAL_COUNTS:
        official = official_counts(faces.name).reindex(list(SPLITS), fill_value=0).drop(columns="total")
        found = faces.counts().reindex(index=official.index, columns=official.columns, fill_value=0)
    else:
        return None
    lost = (official - found).to_numpy()
    if not lost.any() or (missing and lost.min() >= 0 and lost.sum() <= missing):
        return None
    wrong = np.argwhere((lost < 0) if missing and lost.min() < 0 else lost != 0)
    row, column = official.index[wrong[0][0]], official.columns[wrong[0][1]]
    place = column if len(official) == 1 else f"{row} {column}"
    more = f", and {len(wrong) - 1} more of {lost.size} counts" if len(wrong) > 1 else ""
    left = f" ({many(missing, 'row')} left out)" if missing else ""
    return (
        f"{len(faces)} images{left}, official {official.to_numpy().sum()}; "
        f"{place} has {found.loc[row, column]}, official {official.loc[row, column]}{more}"
    )


def unpublished(faces: FaceSet) -> str | None:
    """How a set differs from the published counts of a dataset of which parts are common, in one line; None where it does
    not."""
    if faces.name not in PUBLISHED_COUNTS:
        return None
    published = pd.DataFrame.from_dict(PUBLISHED_COUNTS[faces.name], orient="index", columns=list(EIGHT))
    published = published[list(faces.classes)]
    found = faces.counts().reindex(index=published.index, columns=published.columns, fill_value=0)
    more, wrong = np.argwhere(found > published), np.argwhere(found != published)
    if not len(wrong):
        return None
    row, column = (more if len(more) else wrong)[0]
    names, numbers = (published.index[row], published.columns[column]), (found.iat[row, column], published.iat[row, column])
    text = f"{len(faces)} images, published {published.to_numpy().sum()}; {' '.join(names)} has {numbers[0]}, published "
    return f"{text}{numbers[1]}" + (": more than there are, the labels may be those of another dataset" if len(more) else "")
