"""Recipes: named ways to train, each with its source (``params/recipes/<name>.yaml``)."""

from __future__ import annotations

from pathlib import Path

from .errors import InputError
from .experiment import PARAMS, DataConfig, ModelConfig, RunConfig, TrainingConfig
from .frozen import build, parse
from .yaml_files import read_yaml


class Recipe(TrainingConfig):
    """A way to train, with its source: all of a ``RunConfig`` but data, model and seed."""

    source: str

    def run(
        self, *, name: str, data: DataConfig, model: ModelConfig, seed: int, **changes: object
    ) -> RunConfig:
        """The run of this recipe; ``changes`` replace whole parts (``phases=...``, ``loss=...``).

        Raises:
            InputError: a value that is not allowed.
        """
        parts = {
            field: getattr(self, field) for field in type(self).model_fields if field != "source"
        }
        return build(
            RunConfig,
            {**parts, "name": name, "data": data, "model": model, "seed": seed, **changes},
        )


def load_recipe(name: str, folder: Path = PARAMS / "recipes") -> Recipe:
    """The recipe ``params/recipes/<name>.yaml``.

    Raises:
        InputError: unknown name (the known ones are listed) or wrong content.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise InputError(f"unknown recipe {name!r}; known: {', '.join(known)}")
    path = folder / f"{name}.yaml"
    return parse(Recipe, read_yaml(path), str(path))
