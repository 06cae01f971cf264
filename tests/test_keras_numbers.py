"""What documents 002 and 003 number in Keras, layers 100-175, as stages of the hybrid."""

from __future__ import annotations

import torch

from fer_study.models import FaceModel, create_model
from fer_study.settings.experiment import ModelConfig
from fer_study.training.loop import set_train_mode, unfreeze


def build(size: int, **options: object) -> FaceModel:
    return create_model(ModelConfig(name="hybrid_resnet50", input_size=size, options=options), 7)


def resnet50_layers() -> list[str]:
    """Names of the 175 layers of Keras' ResNet50 without its top, in the order of ``model.layers``.

    Keras lists layers by their depth below the output, so the projection of a stage's first block (``_0_``) stands among the
    layers of its third convolution.
    """
    names = ["input_1", "conv1_pad", "conv1_conv", "conv1_bn", "conv1_relu", "pool1_pad", "pool1_pool"]
    inner = ["1_conv", "1_bn", "1_relu", "2_conv", "2_bn", "2_relu"]
    for stage, count in enumerate((3, 4, 6, 3), start=2):  # blocks of conv2 to conv5 (He et al., 2016, table 1)
        for block in range(1, count + 1):
            third = ["0_conv", "3_conv", "0_bn", "3_bn"] if block == 1 else ["3_conv", "3_bn"]
            names += [f"conv{stage}_block{block}_{part}" for part in [*inner, *third, "add", "out"]]
    return names


def stages_from(layer: int) -> int:
    """``PhaseConfig.unfreeze`` of ``hybrid_resnet50`` for "unfreeze layers ``layer``-175", as its table has it."""
    weighted = [name for name in resnet50_layers()[layer:] if name.endswith(("_conv", "_bn"))]
    return 1 + len({name.rsplit("_", 1)[0].replace("_0", "_3") for name in weighted})


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
