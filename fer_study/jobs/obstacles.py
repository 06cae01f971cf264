"""What keeps a run from being made with the data at hand, as far as names and headers tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .. import data
from ..settings.errors import InputError
from ..settings.experiment import DataConfig
from .job import Job, graph


class Obstacle(NamedTuple):
    """Why a run cannot be made: ``no data``, which may come, or ``impossible`` with the data that
    is there."""

    state: str
    reason: str


def obstacles(
    jobs: Iterable[Job], root: str | None = None, elsewhere: bool = False
) -> dict[str, Obstacle]:
    """Find the obstacles of jobs that have no record, by key. What needs a run that cannot be made
    cannot be made.

    Args:
        root: data root; None: ``$FER_STUDY_DATA`` or ``data/``.
        elsewhere: the runs are made on other machines, where the data may be though it is not here.
    """
    by_key = {job.key: job for job in jobs}
    found: dict[str, Obstacle] = {}
    places: dict[str, str | InputError] = {}

    def of_data(config: DataConfig) -> Obstacle | None:
        if config.dataset == "synthetic":
            return None
        if config.dataset not in places:
            places[config.dataset] = place_of(config.dataset, root)
        place = places[config.dataset]
        if isinstance(place, InputError):
            # without a fingerprint the data was not there when the run got its key, which will be
            # another one
            return None if elsewhere and config.fingerprint else Obstacle("no data", str(place))
        if config.targets in ("votes", "majority") and without_votes(config.dataset, place):
            beside = (
                "put fer2013new.csv beside fer2013.csv, or " if config.dataset == "fer2013" else ""
            )
            reason = (
                f"targets are {config.targets}, but {config.dataset} in {place} has no votes; "
                f"{beside}leave such runs out"
            )
            return Obstacle("impossible", f"{reason} (the stage's parameter targets)")
        return None

    for key in graph(by_key.values()).static_order():
        job = by_key[key]
        against = [found.get(other) for other in job.needs()] + [
            of_data(config) for config in job.data()
        ]
        if first := next(filter(None, against), None):
            found[key] = first
    return found


def place_of(dataset: str, root: str | None) -> str | InputError:
    """Where a dataset is, or why it is not found."""
    try:
        return str(data.locate(dataset, root))
    except InputError as error:
        return error
    except OSError as error:
        return InputError(f"{dataset}: {error}")


def without_votes(dataset: str, place: str) -> bool:
    """Whether a set is known to have no votes; loading it says what else is wrong with it."""
    try:
        return not data.has_votes(dataset, place)
    except (InputError, OSError, ValueError):
        return False
