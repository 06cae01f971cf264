"""Train and explain networks with few channels on 200 random images, all of one class.

``python float32_run.py '{"MODEL": {"OPTION": VALUE}}'``, in a process of its own: what this guards
against ends it.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from fer_study import store
from fer_study.data.faceset import FaceSet
from fer_study.jobs import train
from fer_study.settings.experiment import DataConfig, ModelConfig, PhaseConfig, RunConfig

if __name__ == "__main__":
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 48, 48), dtype=np.uint8)
    split = np.repeat(["train", "validation", "test"], [120, 40, 40])
    faces = FaceSet("made", images, np.zeros(200, np.int64), split, np.arange(200).astype(str))
    for name, options in json.loads(sys.argv[1]).items():
        config = RunConfig(
            data=DataConfig(dataset="made", fingerprint=faces.fingerprint),
            model=ModelConfig(name=name, options=options),
            phases=(PhaseConfig(epochs=3, lr=1e-2),),
            batch_size=40,
        )
        with store.locked(config.key) as folder:
            train.train_and_predict(config, faces, folder)
