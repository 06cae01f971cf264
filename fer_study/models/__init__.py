"""Networks by name: ``create_model(ModelConfig(name="cbam_cnn"), num_classes=7)``."""

from . import emonext, fast, hybrid, hybrid_lite, ladder, resface, small, timm_models
from .registry import FaceModel, create_model, extra_outputs, names, options_of, register, resolve

__all__ = [
    "FaceModel",
    "create_model",
    "emonext",
    "extra_outputs",
    "fast",
    "hybrid",
    "hybrid_lite",
    "ladder",
    "names",
    "options_of",
    "register",
    "resface",
    "resolve",
    "small",
    "timm_models",
]
