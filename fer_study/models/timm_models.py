"""Any classifier of timm behind the contract, as ``timm:<name>`` (Wightman, 2019).

Those that the study compares are tested at 48 and 224 px, with one channel and three: ``resnet50``,
``efficientnet_b3``, ``legacy_xception`` and ``mobilenetv3_small_100`` (Pauyac and Debnath),
``vit_small_patch16_224`` and ``swin_small_patch4_window7_224`` (its outlook). A ViT passes over
what is left of a side beyond multiples of its patch.
"""

from __future__ import annotations

import difflib
import math

import torch
from torch import nn

from ..settings.errors import InputError
from .registry import FaceModel, register

REFUSALS = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
"""What networks of timm raise where they cannot take an argument, a file of weights or a size."""


def one_line(refusal: Exception) -> str:
    """A refusal in one line, cut where it is long."""
    return f"{type(refusal).__name__}: {' '.join(str(refusal).split())[:160]}"


def check_name(name: str) -> None:
    """Refuse a name that is not one of timm's today.

    Names such as ``resnet50`` or ``resnet50.a1_in1k``.

    Raises:
        InputError: it says which are near, or which weights the network has, or what timm calls it
            now.
    """
    import timm  # seconds to import, so not on every start

    network, dot, _ = name.partition(".")
    if network in (renamed := timm.models.get_deprecated_models()):
        raise InputError(
            f"timm has renamed model {name!r}; allowed: {_present_name(renamed[network])}"
        )
    if not timm.is_model(network):
        close = difflib.get_close_matches(name, timm.list_models(), n=5)
        raise InputError(
            f"unknown timm model {name!r}; near: "
            f"{', '.join(close) or 'none (see timm.list_models())'}"
        )
    if dot and name not in (tagged := _tagged(network)):
        raise InputError(f"unknown timm model {name!r}; allowed: {', '.join([network, *tagged])}")


def _tagged(network: str) -> list[str]:
    """A network's names with the weights that it has."""
    import timm

    return timm.list_models(f"{network}.*", include_tags=True)


def _present_name(name: str | None) -> str:
    """Give what timm's table of old names says, or what is nearest where that is out of date."""
    if name is None:
        return "none in its place"
    network, dot, _ = name.partition(".")
    near = difflib.get_close_matches(name, _tagged(network), n=1)
    return near[0] if dot and near else network


def build(name: str, input_size: int, **options: object) -> nn.Module:
    """``timm.create_model`` for a side of the input; ``options`` are its arguments."""
    import timm  # seconds to import, so not on every start

    try:
        return timm.create_model(name, img_size=input_size, **options)
    except TypeError:  # fully convolutional families take no img_size
        return timm.create_model(name, **options)


def before_pooling(net: nn.Module) -> list[nn.Module]:
    """List the direct children of a timm network up to its global pooling.

    All where it has no child of that name.
    """
    names = [name for name, _ in net.named_children()]
    return list(net.children())[: names.index("global_pool") if "global_pool" in names else None]


@register("timm")
class TimmModel(FaceModel):
    """A timm network with K outputs.

    Stages are its feature stages where timm describes them (``feature_info``), else the whole body.
    Grad-CAM weighs the last part before pooling, in a VGG the one before its last pooling; in a ViT
    the input of the last attention (its first normalisation), since behind it only the class token
    reaches the logits. Not every network has a map there: ``explain.has_maps`` tells.

    Raises:
        InputError: the network does not know an option, or one image of the size does not pass it.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        name: str = "",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        import timm  # seconds to import, so not on every start

        super().__init__()
        self.name = name
        usual = timm.get_pretrained_cfg(name).input_size[-1]
        options = {"drop_rate": drop_rate}
        if drop_path_rate:
            options["drop_path_rate"] = drop_path_rate
        try:
            self.net = build(
                name, input_size, num_classes=num_classes, in_chans=in_channels, **options
            )
            if input_size != usual:  # what it is made for, it takes
                self._show(torch.zeros(1, in_channels, input_size, input_size))
        except REFUSALS as error:
            why = one_line(error)
            for option in options:
                if f"unexpected keyword argument '{option}'" in why:
                    value = options[option]
                    raise InputError(
                        f"model timm:{name}: {option} is {value}, allowed: 0, it has no such option"
                    ) from None
            allowed = f"what its layers can take, such as {usual}"
            raise InputError(
                f"model timm:{name}: input_size is {input_size}, allowed: {allowed} ({why})"
            ) from None

    def _show(self, images: torch.Tensor) -> None:
        """Run a forward in evaluation mode, which ``train`` of some networks then forgets."""
        self.net.eval()
        with torch.no_grad():
            self.net(images)
        self.net.train()

    def _body(self) -> list[nn.Module]:
        """Direct children of the network that come before its classifier, stem first."""
        head = self.net.get_classifier()
        children = list(self.net.children())
        body = [
            c
            for c in children
            if c is not head and not any(m is head for m in c.modules()) and list(c.parameters())
        ]
        return [
            part
            for c in body
            for part in (c if isinstance(c, nn.Sequential) and len(c) > 1 else [c])
        ]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)

    @property
    def cam_layer(self) -> nn.Module:
        # its last pooling leaves one cell at 48 px, its head at any size
        if type(self.net).__name__ == "VGG":
            return self.net.features[-2]
        if hasattr(self.net, "num_prefix_tokens") and hasattr(self.net, "blocks"):
            return self.net.blocks[-1].norm1
        before = {id(m) for part in before_pooling(self.net) for m in part.modules()}
        before -= {
            id(getattr(self.net, name, None)) for name in ("head", "head_dist")
        }  # some have two
        return [part for part in self._body() if id(part) in before][-1]

    def cam_map(self, activations: torch.Tensor) -> torch.Tensor:
        """Lay out activations of a ViT or a Swin as a map; all else stays as it is.

        (B, prefix + h w, D) of a ViT, (B, h, w, D) of a Swin, or (B, D, h, w) -> (B, D, h, w),
        where h = w.
        """
        if activations.ndim == 3:
            return self._laid_out(activations)
        if activations.ndim != 4:
            return activations
        rows, columns, depth = activations.shape[1:]
        last = getattr(self.net, "output_fmt", "NCHW") == "NHWC" or rows == columns != depth
        return activations.permute(0, 3, 1, 2) if last else activations

    def _laid_out(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, prefix + h h, D) -> (B, D, h, h); some prepend their class token behind the layer."""
        for prefix in (getattr(self.net, "num_prefix_tokens", 0), 0):
            side = math.isqrt(tokens.shape[1] - prefix)
            if side**2 == tokens.shape[1] - prefix:
                return tokens[:, prefix:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
        return tokens

    def trunk(self) -> tuple[str, nn.Module]:
        return self.name, self.net

    def stages(self) -> list[nn.Module]:
        body = self._body()
        inside = {id(p) for part in body for p in part.parameters()}
        rest = [c for c in self.net.children() if any(id(p) not in inside for p in c.parameters())]
        own = list(
            self.net.parameters(recurse=False)
        )  # a class token, position embeddings: with the stem
        return [*reversed(rest), *reversed(body), *([nn.ParameterList(own)] if own else [])]
