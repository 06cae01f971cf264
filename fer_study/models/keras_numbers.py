"""What documents 002 and 003 number and count in Keras, said of the networks here: layers 100-175, and 77.4 M parameters."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ..settings.experiment import ModelConfig
from .registry import create_model
from .timm_models import before_pooling

BLOCKS = (3, 4, 6, 3)
"""Blocks of the stages conv2 to conv5 of ResNet50 (He et al., 2016, table 1)."""

PRINTED = {"resnet50": 77.4, "legacy_xception": 74.6, "mobilenetv3_small_100": 2.5}
"""timm's name of a trunk -> millions of parameters that document 002 prints (section 3.4)."""

AS_PRINTED = {"resnet_features": "flatten", "mlp_ratio": 0.0}
"""Options of the hybrid that give the printed count: ResNet50's last map through 512 units, and no feed-forward part."""


def resnet50_layers() -> list[str]:
    """Names of the 175 layers of Keras' ResNet50 without its top, in the order of ``model.layers``.

    Keras lists layers by their depth below the output, so the projection of a stage's first block (``_0_``) stands among the
    layers of its third convolution.
    """
    names = ["input_1", "conv1_pad", "conv1_conv", "conv1_bn", "conv1_relu", "pool1_pad", "pool1_pool"]
    inner = ["1_conv", "1_bn", "1_relu", "2_conv", "2_bn", "2_relu"]
    for stage, count in enumerate(BLOCKS, start=2):
        for block in range(1, count + 1):
            third = ["0_conv", "3_conv", "0_bn", "3_bn"] if block == 1 else ["3_conv", "3_bn"]
            names += [f"conv{stage}_block{block}_{part}" for part in [*inner, *third, "add", "out"]]
    return names


def stages_from(layer: int) -> int:
    """``PhaseConfig.unfreeze`` of ``hybrid_resnet50`` for "unfreeze layers ``layer``-175" of Keras, counted from 0.

    A convolution whose batch normalisation the number cuts off is freed with it:

    =======  =======================  ===============================================  ========
    layers   first of them in Keras   first convolution freed here                     unfreeze
    =======  =======================  ===============================================  ========
    175-175  (past the end)           none: only what is not ResNet50                  1
    160-175  ``conv5_block2_2_relu``  ``layer4[1].conv3``, which is layer 161: exact   5
    140-175  ``conv4_block6_3_bn``    ``layer3[5].conv3``, which is layer 139          11
    100-175  ``conv4_block2_3_bn``    ``layer3[1].conv3``, which is layer 99           23
    =======  =======================  ===============================================  ========

    Raises:
        ValueError: there is no such layer.
    """
    names = resnet50_layers()
    if not 0 <= layer <= len(names):
        raise ValueError(f"layer is {layer}, allowed: 0..{len(names)}")
    freed = {_convolution(name) for name in names[layer:]} - {None}
    return 1 + len(freed)


def _convolution(name: str) -> str | None:
    """The convolution of the trunk that a layer with weights belongs to; None for a layer without weights."""
    if not name.endswith(("_conv", "_bn")):
        return None
    return name.rsplit("_", 1)[0].replace("_0", "_3")


def keras_count(net: nn.Module, biased: bool = False) -> int:
    """Parameters as Keras counts them: with the moving mean and variance of batch normalisation.

    Args:
        biased: whether Keras' convolutions have biases that those of ``net`` lack (its ResNet50).
    """
    statistics = sum(b.numel() for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var")))
    biases = sum(m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d) and m.bias is None) if biased else 0
    return sum(p.numel() for p in net.parameters()) + statistics + biases


def printed_counts() -> Iterator[dict[str, str | float]]:
    """What could make up the numbers of parameters that document 002 prints, in millions, counted as Keras does.

    77.4 M is no ResNet50 (23.6 M) and 74.6 M no Xception (20.9 M): both exceed their trunks by the same 53.76 to 53.79 M.
    One dense layer from the flattened 7x7x2048 map to 512 units is 51.38 M of it; the other parts of the hybrid, without a
    feed-forward layer, are 2.40 M: together both printed numbers to the last digit. That fits and proves nothing: the sizes
    inside the 2.40 M are partly ours, and a transformer 2,048 wide with a feed-forward layer (50.36 M) comes near too,
    though document 003 says 512. Ruled out is an averaged map with these parts (26.0 M). The 2.5 M of MobileNetV3Small is no
    such network: it is the ImageNet classifier with its 1,000 classes.

    Yields:
        ``trunk`` (timm's name); ``printed``; ``classifier``: with its 1,000 classes; ``plain``: what comes before pooling;
        ``dense``: of the flattened map at 224 px, 512 units; ``rest``: of the other parts (``AS_PRINTED``); ``hybrid``:
        plain, dense and rest.
    """
    import timm  # seconds to import, so not on every start

    with torch.device("meta"):
        model = create_model(ModelConfig(name="hybrid_resnet50", input_size=224, options=AS_PRINTED), 7)
        rest = keras_count(model) - keras_count(model.backbone) - keras_count(model.flatten) - keras_count(model.reduce)
        for name, printed in PRINTED.items():
            classifier = timm.create_model(name)
            channels = classifier.feature_info[-1]["num_chs"]
            biased = name == "resnet50"
            plain = keras_count(nn.ModuleList(before_pooling(classifier)), biased)
            dense, reduce = 49 * channels * 512 + 512, channels * 512 + 512
            counts = {"classifier": keras_count(classifier, biased), "plain": plain, "dense": dense, "rest": rest + reduce,
                      "hybrid": plain + dense + rest + reduce}  # fmt: skip
            yield {"trunk": name, "printed": printed} | {key: count / 1e6 for key, count in counts.items()}
