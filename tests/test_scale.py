"""``make bench``: a set of AffectNet's size, written in its layout, is imported and trained on in bounded memory."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

IMAGES = int(os.environ.get("FER_STUDY_BENCH_IMAGES", 290_000))
SIZE, STEPS = 96, 100


def memory(field: str) -> float:
    """GB of this process, from ``/proc`` (``VmHWM``: highest ever; ``RssAnon``: now, without mapped files)."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) / 2**20


def write_affectnet(root: Path, images: int) -> None:
    """``train|val/0..7/N.jpg``: synthetic faces at 96 px, every file with bytes of its own."""
    from fer_study.data.twin import synthetic

    pictures = []
    for face in synthetic.make(1000, seed=1).images[:, 0]:
        buffer = io.BytesIO()
        Image.fromarray(face).resize((SIZE, SIZE)).convert("RGB").save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    for split in ("train", "val"):
        for label in range(8):
            (root / split / str(label)).mkdir(parents=True)
    for i in range(images):
        split = "val" if i % 73 == 0 else "train"
        (root / split / str(i % 8) / f"{i:06d}.jpg").write_bytes(pictures[i % 1000] + i.to_bytes(4))


def imported(root: Path) -> dict[str, float]:
    """In a process of its own: seconds and highest memory of an import."""
    from fer_study.data import Options, import_to

    start = time.perf_counter()
    faces, _ = import_to(root, root.with_suffix(".faces"), "affectnet", Options(size=SIZE, classes=8))
    return {"images": len(faces), "import s": time.perf_counter() - start, "import peak GB": memory("VmHWM")}


def trained(root: Path) -> dict[str, float]:
    """In a process of its own: the load, and some training steps from the memory map."""
    import torch

    from fer_study.data import load
    from fer_study.models import create_model
    from fer_study.settings.experiment import AugmentConfig, ModelConfig
    from fer_study.training.augment import augment
    from fer_study.training.batches import Batches

    start = time.perf_counter()
    faces = load(root.with_suffix(".faces"), verify=False)
    loaded, before = time.perf_counter() - start, memory("RssAnon")
    targets = np.eye(8, dtype=np.float32)[faces.labels]
    rows = np.flatnonzero(faces.split == "train")
    batches = Batches(faces.images, targets, rows, 64, torch.device("cpu"))
    model = create_model(ModelConfig(name="emotion_cnn", options={"width": 0.25}, input_size=48), 8)
    optimiser, generator = torch.optim.SGD(model.parameters(), 0.01), torch.Generator().manual_seed(0)
    start, spent = time.perf_counter(), 0.0
    for step, (images, target) in enumerate(batches.epoch(generator)):
        spent += time.perf_counter() - start
        loss = torch.nn.functional.cross_entropy(model(augment(images, AugmentConfig(flip=0.5), 48, generator)), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step == STEPS:
            break
        start = time.perf_counter()
    return {"load s": loaded, "resident": float(batches.images is not None), "ms a batch from the map": 1000 * spent / STEPS,
            "training RssAnon GB": memory("RssAnon"), "of it before the first step GB": before}  # fmt: skip


@pytest.mark.bench
def test_a_set_of_affectnets_size(tmp_path):
    start = time.perf_counter()
    write_affectnet(tmp_path / "affectnet", IMAGES)
    found = {"written in s": time.perf_counter() - start}
    for job in (imported, trained):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found |= pool.submit(job, tmp_path / "affectnet").result()
    sys.stdout.write("\n" + "\n".join(f"{name:32}{value:12.2f}" for name, value in found.items()) + "\n")
    assert found["images"] == IMAGES and found["import peak GB"] < 1.5
    if IMAGES * SIZE**2 > 2 * 2**30:
        assert not found["resident"] and found["training RssAnon GB"] < 1.5


def loaded(path: Path) -> dict[str, float]:
    """In a process of its own: seconds of a load."""
    from fer_study.data import load

    start = time.perf_counter()
    load(path)
    return {"s": time.perf_counter() - start, "peak GB": memory("VmHWM")}


def drawn(images: int) -> dict[str, float]:
    """In a process of its own: seconds of drawing the default synthetic set."""
    from fer_study.data.twin import synthetic

    start = time.perf_counter()
    synthetic.make(images)
    return {"s": time.perf_counter() - start, "peak GB": memory("VmHWM")}


@pytest.mark.bench
def test_reading_and_drawing(tmp_path):
    from fer_study.data import find, import_to

    jobs = {"12,000 synthetic faces": (drawn, 12_000)}
    if os.environ.get("FER_STUDY_DATA"):
        faces, root = find("fer2013"), Path(os.environ["FER_STUDY_DATA"])
        usage = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
        words = np.array([str(i) for i in range(256)], dtype=object)
        rows = zip(faces.labels, faces.images.reshape(len(faces), -1), faces.split, strict=True)
        lines = [f"{label},{' '.join(words[pixels])},{usage[split]}" for label, pixels, split in rows]
        (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
        import_to(root / "fer2013", tmp_path / "fer2013.faces")
        jobs |= {"FER2013, parquet": (loaded, root / "fer2013"), "FER2013, CSV": (loaded, tmp_path / "fer2013.csv"),
                 "FER2013, canonical form": (loaded, tmp_path / "fer2013.faces")}  # fmt: skip
    found = {}
    for name, (job, argument) in jobs.items():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found[name] = pool.submit(job, argument).result()
    lines = [f"{name:32}{x['s']:8.2f} s{x['peak GB']:8.2f} GB" for name, x in found.items()]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert found["12,000 synthetic faces"]["peak GB"] < 2
