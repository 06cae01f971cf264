"""Training and Grad-CAM in float32 on the CPU, as machines without bfloat16 compute, each in a process of its own.

oneDNN's gradient of the weights of a strided 1x1 convolution with few channels ends the process there,
or is wrong, where the activations lie channels-last (https://github.com/uxlfoundation/oneDNN/issues/6035).
With AVX2 (8 channels a block) 4 channels are few on every machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fer_study import store
from fer_study.jobs import train
from fer_study.models import cost, create_model
from fer_study.settings.experiment import ModelConfig
from fer_study.training import device
from fer_study.training.device import make_fabric, memory_format
from jobs_by_config import run_job, stop_after_one_epoch

FEW = {"simple_resnet": {"width": 0.125}, "fer48": {"width": 0.125, "shortcut": "conv", "se": False}}
"""Networks that shrink their shortcuts by 1x1 convolutions of few channels."""


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


def made_here() -> list[store.Record]:
    return [record for record in store.records() if not record.published]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_networks_of_few_channels_train_and_are_explained(precision, runs_folder):
    """In bfloat16 they train channels-last, and Grad-CAM computes in float32."""
    script = Path(__file__).with_name("float32_run.py")
    done = run(sys.executable, script, json.dumps(FEW), FER_STUDY_PRECISION=precision)
    assert done.returncode == 0, done.stderr[-1000:]
    made = {record.config.model.name: record for record in made_here()}
    assert made.keys() == FEW.keys()
    for record in made.values():
        assert record.env["precision"] == precision
        assert record.history["train_loss"].is_monotonic_decreasing
        assert record.cam["counts"].tolist() == [40, 0, 0, 0, 0, 0, 0]
        assert record.cam["maps"][0].max() > 0


def test_the_smoke_edition_trains_in_float32(runs_folder):
    """Its network with such shortcuts, by the command line, as this processor computes."""
    command = Path(sys.executable).with_name("fer-study")
    only = ("--only", "simple_resnet/simple_resnet/0/*")
    done = run(command, "train", "smoke", "03", *only, FER_STUDY_PRECISION="32-true", ONEDNN_MAX_CPU_ISA="")
    assert done.returncode == 0, done.stderr[-1000:]
    assert [record.env["precision"] for record in made_here()] == ["32-true"]


@pytest.mark.parametrize(
    ("precision", "name", "expected"),
    [
        ("32-true", "simple_resnet", torch.contiguous_format),
        ("32-true", "emotion_cnn", torch.channels_last),
        ("bf16-mixed", "simple_resnet", torch.channels_last),
    ],
)
def test_networks_with_strided_shortcuts_lie_contiguous_in_float32(precision, name, expected, monkeypatch):
    monkeypatch.setenv("FER_STUDY_PRECISION", precision)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert memory_format(make_fabric(), create_model(ModelConfig(name=name), 7)) == expected


@pytest.mark.parametrize(
    ("name", "native", "expected"),
    [
        ("timm:mobilenetv3_small_100", "bf16-mixed", "32-true"),
        ("timm:mobilenetv3_small_100", "32-true", "32-true"),
        ("timm:legacy_xception", "bf16-mixed", "32-true"),
        ("hybrid_lite", "bf16-mixed", "32-true"),
        ("emonext_atto", "bf16-mixed", "bf16-mixed"),
        ("emotion_cnn", "bf16-mixed", "bf16-mixed"),
    ],
)
def test_depthwise_networks_with_batch_normalisation_compute_in_float32(name, native, expected, monkeypatch):
    monkeypatch.setattr(device, "precision", lambda: native)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = ModelConfig(name=name, input_size=64)
    assert device.fastest_precision(config, 7, 1) == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.fastest_precision(config, 7, 1) == native


def test_a_run_goes_on_in_the_precision_in_which_it_began(runs_folder, tiny_run, monkeypatch):
    """Whatever would be chosen later."""
    for first, later in (("32-true", "bf16-mixed"), ("bf16-mixed", "32-true")):
        config = tiny_run(seed=len(first))
        monkeypatch.setattr(train, "fastest_precision", lambda *_, now=first: now)
        stop_after_one_epoch(config, monkeypatch)
        monkeypatch.setattr(train, "fastest_precision", lambda *_, now=later: now)
        assert run_job(config).env["precision"] == first


def test_a_way_that_may_end_the_process_is_not_timed(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    few = ModelConfig(name="simple_resnet", options={"width": 0.125}, input_size=16)
    speeds = cost.step_speeds(few, batch_size=2, repeats=1)
    assert [way for way, speed in speeds.items() if not speed > 0] == ["channels-last"]
    assert cost.step_ratios(few, few, batch_size=2, repeats=1)
    assert not cost.only_contiguous(ModelConfig(name="simple_resnet"))
