"""What the official datasets contain: counts by split and class, and fingerprints."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..labels import FER2013
from .faceset import SPLITS, FaceSet

OFFICIAL_COUNTS = {
    "fer2013": {
        "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
        "validation": (467, 56, 496, 895, 653, 415, 607),
        "test": (491, 55, 528, 879, 594, 416, 626),
    },
    "muxspace": {
        "train": (198, 190, 15, 4561, 180, 280, 5456),
        "validation": (22, 4, 4, 602, 41, 49, 818),
        "test": (32, 14, 2, 533, 47, 39, 594),
    },
}
"""Dataset -> split -> images by class, in the order of ``labels.FER2013``. FER2013: 28,709 + 3,589 + 3,589. muxspace: our
split by person of 13,690 images less 9 of contempt."""

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
    if faces.name not in OFFICIAL_COUNTS:
        return None
    official = official_counts(faces.name)
    found = faces.counts().reindex(index=SPLITS, columns=official.columns, fill_value=0)
    wrong = np.argwhere((found != official.loc[list(SPLITS)]).to_numpy()[:, :-1])
    if not len(wrong):
        return None
    row, column = SPLITS[wrong[0][0]], FER2013[wrong[0][1]]
    more = f", and {len(wrong) - 1} more of {len(SPLITS) * len(FER2013)} counts" if len(wrong) > 1 else ""
    return (
        f"{len(faces)} images, official {official['total'].sum()}; "
        f"{row} {column} has {found.loc[row, column]}, official {official.loc[row, column]}{more}"
    )
