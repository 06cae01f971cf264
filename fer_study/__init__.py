"""fer-study: a reproducible study of facial emotion recognition."""


def __getattr__(name: str) -> object:
    """Load ``predict`` when it is asked for: it needs PyTorch, which the command does not."""
    if name != "predict":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .inference import predict

    return predict
