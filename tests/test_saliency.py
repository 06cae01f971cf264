"""Grad-CAM never costs a training: what has no map is known before, said, and leaves a record without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from fer_study.jobs import train
from fer_study.models import FaceModel, create_model
from fer_study.models.ladder import EmotionCNN
from fer_study.settings.experiment import AugmentConfig, ModelConfig
from fer_study.training.augment import evaluation_views
from fer_study.training.explain import NoMap, class_saliency, grad_cam
from jobs_by_config import run_job

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 1, 64, 64), dtype=np.uint8))


def build(name: str, size: int = 64) -> FaceModel:
    torch.manual_seed(0)
    return create_model(ModelConfig(name=name, input_size=size), 7)


def maps_of(model: FaceModel, size: int = 64) -> np.ndarray:
    return grad_cam(model, IMAGES[:4], np.arange(4), AugmentConfig(), size)


@pytest.mark.parametrize("name", ["emotion_cnn", "fer48", "timm:test_vit", "timm:test_convnext"])
def test_no_weight_has_a_gradient_and_the_maps_are_the_same(name):
    model, asked = build(name), []
    handles = [p.register_hook(asked.append) for p in model.parameters()]
    found = maps_of(model)
    assert not asked and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())

    (view,) = evaluation_views(IMAGES[:4], AugmentConfig(), 64, "single")
    with GradCAM(model=model.eval(), target_layers=[model.cam_layer], reshape_transform=model.cam_map) as usual:
        expected = usual(view, [ClassifierOutputTarget(k) for k in range(4)])
    assert np.array_equal(found, expected) and len(asked) == len(handles)


ONE_CELL = ("timm:test_convnext", 32)
CLASS_TOKEN = ("timm:pit_ti_224", 64)


@pytest.mark.parametrize(("name", "size"), [ONE_CELL, CLASS_TOKEN])
def test_what_is_no_map_is_refused(name, size):
    with pytest.raises(NoMap, match="x 1 x 1 "):
        maps_of(build(name, size), size)


def test_axes_of_other_sides_are_refused(monkeypatch):
    monkeypatch.setattr(EmotionCNN, "cam_map", lambda self, made: made.transpose(1, 2))
    with pytest.raises(NoMap):
        maps_of(build("emotion_cnn"))


def test_an_empty_map_of_every_class_is_refused():
    """Of the class that it names, the network likes nothing: the map is below zero everywhere, so cut to zero."""
    model = build("timm:test_resnet").eval()
    head = model.net.get_classifier()
    nn.init.constant_(head.weight, -1.0)
    nn.init.zeros_(head.bias)
    head.bias.data[2] = 1e3
    with pytest.raises(NoMap):
        class_saliency(model, IMAGES, np.full(40, 2), AugmentConfig(), 64, 7)


def test_a_network_without_a_map_trains_and_has_a_record_without_one(runs_folder, tiny_run, caplog):
    name, size = ONE_CELL
    config = tiny_run(model=ModelConfig(name=name, input_size=size))
    record = run_job(config)
    assert record.cam == {} and record.metrics["last_single"]["test"]["accuracy"] >= 0
    (line,) = [message for message in caplog.messages if "saliency" in message]
    assert name in line and "1 x 1" in line, "said once, before it trains"


def test_a_failure_after_the_training_costs_the_maps_only(runs_folder, tiny_run, caplog, monkeypatch):
    plain = run_job(tiny_run(name="plain", seed=1))

    def fails(*_given):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("fer_study.training.explain.class_saliency", fails)
    record = run_job(tiny_run(seed=2))
    assert plain.cam and record.cam == {} and (record.folder / "done").is_file()
    assert any("out of memory" in message for message in caplog.messages)


def test_trying_the_maps_leaves_the_training_as_it_was(runs_folder, tiny_run, monkeypatch):
    first = run_job(tiny_run())
    with monkeypatch.context() as patch:
        patch.setenv("FER_STUDY_RUNS", str(runs_folder.with_name("other")))
        patch.setattr(train, "has_maps", lambda *_given: False)
        second = run_job(tiny_run())
    for part in ("predictions.parquet", "metrics.json", "last.safetensors"):
        assert (first.folder / part).read_bytes() == (second.folder / part).read_bytes()
