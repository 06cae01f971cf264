"""Use a trained network: a folder that holds it, and what it says of pictures.

Example:
    >>> from fer_study import predict
    >>> table = predict("holiday.jpg", model="models/fer48")  # doctest: +SKIP
    >>> table[["x", "y", "predicted", "happy", "set"]]  # doctest: +SKIP
"""

from .model_folder import Settings, TrainedModel, from_record, load, open_model, save
from .predicting import predict

__all__ = ["Settings", "TrainedModel", "from_record", "load", "open_model", "predict", "save"]
