"""The two-step pipeline before deep learning: histograms of oriented gradients, then a linear
support vector machine.

HOG: Dalal and Triggs (2005), with their 2x2 blocks and L2-Hys normalisation. The machine: one
against the rest, squared hinge loss, ``C`` per image (Fan et al., 2008).
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy

from .. import store
from ..analysis.metrics import temperature
from ..settings.environment import environment
from ..settings.errors import InputError
from ..settings.experiment import RunConfig
from ..training.protocol import split
from ..training.sources import faces_of
from .evaluation import prediction_table, score, stored
from .job import BASELINE as NAME
from .job import Run

log = logging.getLogger(__name__)

DEFAULTS = {"pixels_per_cell": 8, "orientations": 9, "C": 0.01}
"""Cells and orientations: the values of Dalal and Triggs (2005). ``C``: a value taken, not searched
for."""


def options_of(config: RunConfig) -> dict[str, float]:
    """The options of the pipeline, with defaults filled in.

    Raises:
        InputError: an unknown option, or a value that is no positive number, whole where it counts
            pixels or orientations.
    """
    for key, value in config.model.options.items():
        if key not in DEFAULTS:
            raise InputError(
                f"model {NAME}: unknown option {key!r}; allowed: {', '.join(DEFAULTS)}"
            )
        whole = key != "C"
        if type(value) not in (int, float) or not 0 < value < math.inf or (whole and value % 1):
            kind = "whole number" if whole else "number"
            raise InputError(f"model {NAME}: option {key} is {value!r}, expected a {kind} above 0")
    return {**DEFAULTS, **config.model.options}


def features(images: np.ndarray, pixels_per_cell: int = 8, orientations: int = 9) -> np.ndarray:
    """HOG descriptors.

    Args:
        images: (N, C, H, W) uint8; channels are averaged first.

    Returns:
        (N, D) float32; D = 900 for 48 px, cells of 8 px and 9 orientations (5 x 5 blocks of 2 x 2
        cells).
    """
    from skimage.feature import hog  # slow to import, so not on every start

    cell = (pixels_per_cell, pixels_per_cell)
    grey = (image.mean(axis=0) for image in images)
    rows = [
        hog(g, orientations, cell, (2, 2), block_norm="L2-Hys").astype(np.float32) for g in grey
    ]
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


class Baseline(Run):
    """Train the pipeline; its record has the single view ``last_single`` and no epochs."""

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record. Scores become probabilities by a softmax whose temperature is fitted on
        validation; the test split takes no part.

        Raises:
            InputError: a wrong option, targets that are no labels, or weights to start from.
        """
        import sklearn.svm  # slow to import, so not on every start

        config, start = self.config, time.perf_counter()
        options, faces = options_of(config), faces_of(config.data, root)
        if config.data.targets != "labels":
            raise InputError(f"model {NAME}: targets are {config.data.targets!r}, allowed: labels")
        if config.model.weights != "scratch":
            raise InputError(
                f"model {NAME}: weights are {config.model.weights!r}, allowed: scratch"
            )
        rows = split(faces, config.data)
        pixels, orientations = int(options["pixels_per_cell"]), int(options["orientations"])
        learned = features(faces.images[rows.train], pixels, orientations)
        machine = sklearn.svm.LinearSVC(C=options["C"], dual=False).fit(
            learned, faces.labels[rows.train]
        )
        trained = time.perf_counter() - start
        table = prediction_table(faces, rows)
        # a class without training images is never predicted
        scores = np.full((len(table), faces.num_classes), -1e3)
        found = machine.decision_function(
            features(faces.images[table["row"].to_numpy()], pixels, orientations)
        )
        scores[:, machine.classes_] = (
            found if found.ndim == 2 else np.stack([-found, found], axis=1)
        )
        chosen = (table["split"] == "validation").to_numpy()
        heat = temperature(scores[chosen], table["label"].to_numpy()[chosen].astype(np.int64))
        views = {
            "last_single": stored(
                np.maximum(scipy.special.log_softmax(scores / heat, axis=1), np.log(1e-7))
            )
        }
        log.info("%s: %d images, %d features, trained in %.0f s", NAME, *learned.shape, trained)
        env = environment(start) | {
            "sklearn": sklearn.__version__,
            "temperature": heat,
            "images_per_second": round(len(learned) / trained, 1),
        }
        return store.save(
            folder,
            config,
            history=pd.DataFrame(columns=["epoch"]),
            table=table,
            views=views,
            metrics=score(table, views, faces.classes, config),
            env=env,
        )
