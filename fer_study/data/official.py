"""State what the datasets are: publication, licence, size, label order, counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .faceset import SPLITS, FaceSet
from .fingerprints import FINGERPRINTS as FINGERPRINTS
from .fingerprints import FINGERPRINTS_OF_EIGHT as FINGERPRINTS_OF_EIGHT
from .labels import EIGHT, FER2013
from .rows import pluralise


@dataclass(frozen=True)
class Dataset:
    """Describes a dataset and its terms.

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
    "fer2013": Dataset(
        "FER2013", "goodfellow2013challenges", "35,887 gray, 48 px",
        "0 angry ... 6 neutral (our order)", "official: Training, PublicTest, PrivateTest",
        "research use (Kaggle ICML 2013 challenge)"),
    "ferplus": Dataset(
        "FER+", "barsoum2016ferplus", "the images of FER2013, ten votes each",
        "neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF",
        "that of FER2013", "votes: MIT"),
    "rafdb": Dataset(
        "RAF-DB", "li2017rafdb", "15,339 in colour, 100 px aligned",
        "1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, 7 neutral",
        "official train and test", _REQUEST),
    "affectnet": Dataset(
        "AffectNet", "mollahosseini2019affectnet", "about 291,651 in colour (8 classes)",
        "0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 angry, 7 contempt",
        "official train; the published validation split is our test", _REQUEST),
    "expw": Dataset(
        "ExpW", "zhang2018expw", "91,793 faces in web pictures, cut out by box",
        "0 angry ... 6 neutral", "ours, by picture", _REQUEST),
    "ckplus": Dataset(
        "CK+48", "lucey2010ckplus", "981 gray, 48 px", "folders; contempt, no neutral",
        "ours, by person", _REQUEST),
    "jaffe": Dataset(
        "JAFFE", "lyons1998jaffe", "213 gray, 256 px",
        "AN, DI, FE, HA, SA, SU, NE in the file name", "ours, by person", _REQUEST),
    "muxspace": Dataset(
        "muxspace", "muxspace", "13,690 gray, at most 350 px", "names in mixed case, with contempt",
        "ours, by name of the file", "Apache-2.0"),
    "folders": Dataset(
        "your own", "", "any", "folder names in any known spelling, or as you name them", "its own",
        "its own"),
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
"""Dataset -> split -> images by class, in the order of ``labels.FER2013``. FER2013: 28,709 + 3,589
+ 3,589. RAF-DB: 12,271 + 3,068. muxspace: our split by person of 13,690 images less 9 of
contempt."""

OFFICIAL_TOTALS = {
    "ckplus": (135, 177, 75, 207, 84, 249, 0, 54),
    "jaffe": (30, 29, 32, 31, 31, 30, 30, 0),
}
"""Dataset without official split -> images by class, in the order of ``labels.EIGHT``."""

PUBLISHED_COUNTS = {
    "affectnet": {
        "train": (24882, 3803, 6378, 134415, 25459, 14090, 74874, 3750),
        "test": (500,) * 8,
    }
}
"""Dataset of which parts are common -> split -> images by class, in the order of ``labels.EIGHT``:
reported, never refused. AffectNet: its release of eight classes, validation as test."""

OFFICIAL_CONFLICTS = {"fer2013": 57, "muxspace": 1}
"""Dataset -> groups of equal images with different labels in the complete set, as it was published
(counted)."""


def official_counts(dataset: str) -> pd.DataFrame:
    """Tabulates the official counts in the form of ``FaceSet.counts()``."""
    table = pd.DataFrame.from_dict(OFFICIAL_COUNTS[dataset], "index", columns=list(FER2013))
    table["total"] = table.sum(axis=1)
    table.index.name, table.columns.name = "split", "class"
    return table


@dataclass(frozen=True)
class Counts:
    """Compares a set with the whole set as it was published.

    Attributes:
        word: ``official``: another set is refused; ``published``: parts are common, and told.
        images: how many the set has.
        expected, found: splits (``all`` where there is no official split) x classes.
    """

    word: str
    images: int
    expected: pd.DataFrame
    found: pd.DataFrame

    @classmethod
    def of(cls, faces: FaceSet) -> Counts | None:
        """Counts a set; None where it is not known how many images it has when it is whole."""
        name, classes = faces.name, list(faces.classes)
        if name in OFFICIAL_TOTALS:
            totals = OFFICIAL_TOTALS[name][: len(classes)]
            expected = pd.DataFrame([totals], ["all"], classes)
            found = faces.counts()[classes].sum().to_frame("all").T
            return cls("official", len(faces), expected, found)
        if name in OFFICIAL_COUNTS:
            word, expected = "official", official_counts(name).drop(columns="total")
            expected = expected.reindex(list(SPLITS), fill_value=0)
        elif name in PUBLISHED_COUNTS:
            word, columns = "published", list(EIGHT)
            expected = pd.DataFrame.from_dict(PUBLISHED_COUNTS[name], "index", columns=columns)
            expected = expected[classes]
        else:
            return None
        found = faces.counts().reindex(expected.index, columns=expected.columns, fill_value=0)
        return cls(word, len(faces), expected, found)

    def difference(self, missing: int = 0) -> str | None:
        """Says in one line how a set differs from the official one; None where it does not.

        Args:
            missing: so many images may be missing, for their rows were left out; more of a class
                there may never be.
        """
        lost = (self.expected - self.found).to_numpy()
        if not lost.any() or (missing and lost.min() >= 0 and lost.sum() <= missing):
            return None
        too_many = lost.min() < 0 and (missing > 0 or self.word == "published")
        wrong = np.argwhere(lost < 0 if too_many else lost != 0)
        row, column = wrong[0]
        place = self.expected.columns[column]
        if len(self.expected) > 1:
            place = f"{self.expected.index[row]} {place}"
        left = f" ({pluralise(missing, 'row')} left out)" if missing else ""
        text = (
            f"{self.images} images{left}, "
            f"{self.word} {self.expected.to_numpy().sum()}; {place} has "
            f"{self.found.iat[row, column]}, {self.word} {self.expected.iat[row, column]}"
        )
        if len(wrong) > 1:
            text += f", and {len(wrong) - 1} more of {lost.size} counts"
        if self.word == "published" and too_many:
            text += ": more than there are, the labels may be those of another dataset"
        return text


def difference(faces: FaceSet, missing: int = 0) -> str | None:
    """Says in one line how a set differs from the official one; None where it does not."""
    counts = Counts.of(faces)
    return counts.difference(missing) if counts and counts.word == "official" else None


def unconfirmed(dataset: str) -> tuple[str, str]:
    """Says (problem, remedy) of labels that are a dataset's by nothing but their numbers."""
    about = DATASETS[dataset]
    labels = f"read as those of {about.title} ({about.labels})"
    remedy = f"if they are, say --dataset {dataset} when they are read; if not, "
    return (
        f"the classes are bare numbers, {labels}: to be confirmed",
        f"{remedy}call the folders after their classes",
    )
