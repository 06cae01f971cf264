"""Networks by name: ``create_model(ModelConfig(name="cbam_cnn"), num_classes=7)``."""

from . import emonext, ladder, resface, small, timm_models
from .registry import FaceModel, create_model, names, register, resolve

__all__ = [
    "FaceModel", "create_model", "emonext", "ladder", "names", "register", "resface", "resolve", "small", "timm_models",
]  # fmt: skip
