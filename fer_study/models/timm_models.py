"""Any classifier of timm behind the contract, as ``timm:<name>`` (Wightman, 2019)."""

from __future__ import annotations

import difflib

import torch
from torch import nn

from ..errors import InputError
from .registry import FaceModel, register


def build(name: str, input_size: int, **options: object) -> nn.Module:
    """``timm.create_model`` for a side of the input; ``options`` are its arguments."""
    import timm  # seconds to import, so not on every start

    try:
        return timm.create_model(name, img_size=input_size, **options)
    except TypeError:  # fully convolutional families take no img_size
        return timm.create_model(name, **options)


@register("timm")
class TimmModel(FaceModel):
    """A timm network with K outputs.

    Stages are its feature stages where timm describes them (``feature_info``), else the whole body; the last one is the
    layer for Grad-CAM, so token models without a spatial map need a ``cam_layer`` of their own.
    """

    def __init__(self, num_classes: int, in_channels: int, input_size: int, name: str = "", drop_rate: float = 0.0,
                 drop_path_rate: float = 0.0) -> None:  # fmt: skip
        import timm  # seconds to import, so not on every start

        super().__init__()
        self.name = name
        if not timm.is_model(name):
            close = difflib.get_close_matches(name, timm.list_models(), n=5)
            raise InputError(f"unknown timm model {name!r}; near: {', '.join(close) or 'none (see timm.list_models())'}")
        options = {"drop_rate": drop_rate}
        if drop_path_rate:
            options["drop_path_rate"] = drop_path_rate
        self.net = build(name, input_size, num_classes=num_classes, in_chans=in_channels, **options)

    def _body(self) -> list[nn.Module]:
        """Direct children of the network that come before its classifier, stem first."""
        head = self.net.get_classifier()
        children = list(self.net.children())
        body = [c for c in children if c is not head and not any(m is head for m in c.modules()) and list(c.parameters())]
        return [part for c in body for part in (c if isinstance(c, nn.Sequential) and len(c) > 1 else [c])]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)

    @property
    def cam_layer(self) -> nn.Module:
        return self._body()[-1]

    def trunk(self) -> tuple[str, nn.Module]:
        return self.name, self.net

    def stages(self) -> list[nn.Module]:
        body = self._body()
        inside = {id(p) for part in body for p in part.parameters()}
        rest = [c for c in self.net.children() if any(id(p) not in inside for p in c.parameters())]
        own = list(self.net.parameters(recurse=False))  # a class token, position embeddings: with the stem
        return [*reversed(rest), *reversed(body), *([nn.ParameterList(own)] if own else [])]
