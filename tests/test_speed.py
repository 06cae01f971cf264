"""``make bench``: how fast the four networks train, what the input side costs, and the same with image files in the loop.

Numbers depend on the machine and on what else it does; ratios of one run are what can be read.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fer_study.data.labels import FER2013
from fer_study.settings.experiment import AugmentConfig, DataConfig, ModelConfig, PhaseConfig, RunConfig

NETWORKS = ("emotion_cnn", "kernel_cnn", "simple_resnet", "cbam_cnn")
IMAGES, BATCH, SIZE, WORKERS = 1024, 64, 48, 2
AUGMENT = AugmentConfig(flip=0.5, rotate=10.0, crop_area=(0.8, 1.0))
COLUMNS = ("images/s", "input %", "float32", "bf16 gain", "files/s", "gain", "peak GB")


def synchronise(device) -> None:
    """Wait for an accelerator, so that clocks are honest."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()


def clock(run, device) -> float:
    """Seconds of a call, the second time (the first one warms up)."""
    for _ in range(2):
        synchronise(device)
        start = time.perf_counter()
        run()
        synchronise(device)
    return time.perf_counter() - start


def set_up(name: str, precision: str):
    """``(config, fabric, network)`` in a precision."""
    from lightning_fabric import Fabric

    from fer_study.models import create_model
    from fer_study.training.device import memory_format

    config = RunConfig(
        data=DataConfig(dataset="none"), model=ModelConfig(name=name, input_size=SIZE), augment=AUGMENT, batch_size=BATCH,
        phases=(PhaseConfig(epochs=1, lr=1e-3),),
    )  # fmt: skip
    fabric = Fabric(accelerator="auto", devices=1, precision=precision)
    fabric.launch()
    model = create_model(config.model, 7)
    return config, fabric, model.to(memory_format=memory_format(fabric, model))


def ours(name: str, precision: str, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Seconds of a training epoch, and of its input side alone (batches, transfer, augmentation)."""
    import torch

    from fer_study.training.augment import augment
    from fer_study.training.batches import Batches
    from fer_study.training.loop import make_learner, train_epoch

    config, fabric, model = set_up(name, precision)
    batches = Batches(images, targets, np.arange(len(images)), BATCH, fabric.device)
    learner = make_learner(config, model, batches, fabric)

    def feed() -> None:
        generator = torch.Generator(device=fabric.device).manual_seed(0)
        for rows, _ in batches.epoch(generator):
            augment(rows, AUGMENT, SIZE, generator)

    whole = clock(lambda: train_epoch(config, 0, learner, batches, fabric), fabric.device)
    return whole, clock(feed, fabric.device)


def from_files(name: str, precision: str, folder: Path) -> float:
    """Seconds of a training epoch from PNG files: torchvision's ImageFolder, transforms and DataLoader."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision import transforms as T

    from fer_study.training.loop import make_optimiser

    config, fabric, model = set_up(name, precision)
    wrapped, optimiser = fabric.setup(model, make_optimiser(config, model))
    steps = [T.Grayscale(1), T.RandomHorizontalFlip(), T.RandomRotation(10), T.RandomResizedCrop(SIZE, (0.8, 1.0)),
             T.ToTensor(), T.Normalize([0.5], [0.5])]  # fmt: skip
    loader = DataLoader(datasets.ImageFolder(folder, T.Compose(steps)), BATCH, shuffle=True, num_workers=WORKERS,
                        persistent_workers=WORKERS > 0)  # fmt: skip

    def epoch() -> None:
        wrapped.train()
        for x, label in loader:
            x, label = x.to(fabric.device), label.to(fabric.device)
            with fabric.autocast():
                logits = wrapped(x)
            loss = torch.nn.functional.cross_entropy(logits.float(), label)
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            optimiser.step()

    return clock(epoch, fabric.device)


def peak_memory() -> float:
    """GB: of the accelerator where there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, folder: Path, images: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """One row of the table."""
    from fer_study.training.device import precision

    chosen = precision()
    full, _ = ours(name, "32-true", images, targets)
    half, feed = ours(name, chosen, images, targets)
    memory = peak_memory()
    files = from_files(name, chosen, folder)
    return dict(zip(COLUMNS, (len(images) / half, 100 * feed / half, len(images) / full, full / half, len(images) / files,
                              files / half, memory), strict=True))  # fmt: skip


@pytest.mark.bench
def test_speed(tmp_path):
    from PIL import Image

    from fer_study.data.twin import synthetic

    faces = synthetic.make(IMAGES, 0, "wild")
    for i, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        folder = tmp_path / FER2013[label]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image[0]).save(folder / f"{i}.png")
    targets, table = np.eye(7, dtype=np.float32)[faces.labels], {}
    for name in NETWORKS:  # each in a process of its own, so that its peak memory is its own
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            table[name] = pool.submit(measure, name, tmp_path, faces.images, targets).result()
    lines = [f"{'48 px, batch 64':16}" + "".join(f"{c:>11}" for c in COLUMNS)]
    lines += [f"{name:16}" + "".join(f"{row[c]:11.1f}" for c in COLUMNS) for name, row in table.items()]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    sys.stdout.write(f"gain: over {WORKERS} loader processes that read PNG files; input %: share of our step\n")
    assert table["cbam_cnn"]["input %"] < 3
