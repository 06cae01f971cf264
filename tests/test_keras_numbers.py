"""What documents 002 and 003 number and count in Keras: layers 100-175 as stages, 77.4 M and 74.6 M parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_study.models import FaceModel, create_model
from fer_study.models.hybrid import TransformerBlock
from fer_study.models.keras_numbers import AS_PRINTED, printed_counts, resnet50_layers, stages_from
from fer_study.settings.experiment import ModelConfig
from fer_study.training.loop import set_train_mode, unfreeze


def build(size: int, **options: object) -> FaceModel:
    return create_model(ModelConfig(name="hybrid_resnet50", input_size=size, options=options), 7)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_layers_of_keras():
    """Where the stages and the numbered layers lie in Keras' ResNet50: seven layers, then twelve in the first block of a
    stage and ten in each of the others."""
    names = resnet50_layers()
    assert len(names) == len(set(names)) == 175 and names[-1] == "conv5_block3_out"
    starts = [next(i for i, n in enumerate(names) if n.startswith(f"conv{s}_block1")) for s in (2, 3, 4, 5)]
    assert starts == [7, 7 + 32, 7 + 32 + 42, 7 + 32 + 42 + 62]
    assert [names[i] for i in (100, 140, 160)] == ["conv4_block2_3_bn", "conv4_block6_3_bn", "conv5_block2_2_relu"]
    assert names[13:19] == [f"conv2_block1_{part}" for part in ("0_conv", "3_conv", "0_bn", "3_bn", "add", "out")]


def test_the_numbered_layers_as_stages():
    """Frozen and freed as Keras would, to the convolution that is cut from its normalisation."""
    assert [stages_from(layer) for layer in (175, 160, 140, 100, 0)] == [1, 5, 11, 23, 50]
    assert [stages_from(layer) for layer in (149, 148, 147)] == [8, 8, 9]  # a projection belongs to the third convolution
    with torch.device("meta"):
        model = build(48)
    names = {id(p): n for n, p in model.backbone.named_parameters()}
    expected = {160: ("layer4.1.conv3", "layer4.1.conv2"), 140: ("layer3.5.conv3", "layer3.5.conv2"),
                100: ("layer3.1.conv3", "layer3.1.conv2")}  # fmt: skip
    order = [n for n in names.values() if n.endswith("weight")]
    for layer, (freed, frozen) in expected.items():
        unfreeze(model, stages_from(layer))
        learns = {names[id(p)] for p in model.backbone.parameters() if p.requires_grad}
        first = order.index(f"{freed}.weight")
        assert set(order[first:]) <= learns and not set(order[:first]) & learns and f"{frozen}.weight" not in learns
    set_train_mode(model)
    assert not model.backbone.layer3[1].bn2.training and model.backbone.layer3[1].bn3.training
    with pytest.raises(ValueError, match=r"layer is 176, allowed: 0\.\.175"):
        stages_from(176)


def test_the_printed_counts():
    """Keras' own totals (25,636,712 and 23,587,712; 22,910,480 and 20,861,480; 2,554,968 and 939,120) to the unit, and what
    document 002 prints."""
    rows = {row["trunk"]: row for row in printed_counts()}
    keras = {"resnet50": (25.636712, 23.587712), "legacy_xception": (22.910480, 20.861480),
             "mobilenetv3_small_100": (2.554968, 0.939120)}  # fmt: skip
    for name, counts in keras.items():
        assert (rows[name]["classifier"], rows[name]["plain"]) == counts
    for name in ("resnet50", "legacy_xception"):
        row = rows[name]
        assert row["dense"] == 7 * 7 * 2048 * 512 / 1e6 + 512 / 1e6
        assert round(row["hybrid"], 1) == row["printed"] != round(row["plain"] + row["dense"], 1)
        assert row["plain"] + row["rest"] < 27 < row["printed"]  # averaged, as document 003 has it: far from it
    heads = [row["printed"] - row["plain"] for row in rows.values()][:2]  # each to 0.05, the rounding of what is printed
    assert (max(heads) - 0.05, min(heads) + 0.05) == pytest.approx((53.762, 53.789), abs=1e-3)
    with torch.device("meta"):  # another reading that comes near
        assert count(TransformerBlock(2048, 8, 4.0)) / 1e6 == pytest.approx(50.36, abs=0.005)
    small = rows["mobilenetv3_small_100"]
    assert abs(small["classifier"] - small["printed"]) < 0.06 and small["hybrid"] > 6 * small["printed"]


def test_the_printed_count_is_that_of_a_network_here():
    with torch.device("meta"):
        printed = build(224, **AS_PRINTED)
    statistics = sum(b.numel() for n, b in printed.named_buffers() if "running" in n)
    biases = sum(m.out_channels for m in printed.backbone.modules() if isinstance(m, nn.Conv2d))
    rows = {row["trunk"]: row["hybrid"] for row in printed_counts()}
    assert (count(printed) + statistics + biases) / 1e6 == pytest.approx(rows["resnet50"], abs=1e-9)
