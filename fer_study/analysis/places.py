"""Name the records of audits and costs that claims speak of, each by its one key.

A name alone would also find an audit of part of the data, or what another network costs.
"""

from __future__ import annotations

import csv
from pathlib import Path

from ..data import official
from ..settings.experiment import AuditConfig, CrowdConfig, DataConfig


def _keys() -> dict[str, str]:
    found = {}
    for name, mark in official.FINGERPRINTS.items():
        data = DataConfig(dataset=name, fingerprint=mark)
        found[f"audit/{name}"] = AuditConfig(data=data).key
    with Path(__file__).with_name("costs.csv").open(encoding="utf-8", newline="") as file:
        return found | {row["place"]: row["key"] for row in csv.DictReader(file)}


KEYS = _keys()
"""``audit/<dataset>`` of the whole official set, and ``cost/<network>/<side>``, with the option in
which a part is taken out behind it -> key. Those of costs lie in ``costs.csv``, for a config holds
every option of its network, and only torch could say them: a test holds the file against what the
gallery of FER2013 lists."""


def crowd_key(dataset: str) -> str:
    """Key of the record that holds the votes of the whole official set."""
    data = DataConfig(dataset=dataset, fingerprint=official.FINGERPRINTS[dataset])
    return CrowdConfig(data=data).key


def split(place: str) -> tuple[str, list[str]]:
    """Part the name of a record from the keys that lead to a value in it.

    Raises:
        ValueError: no record has this name, or no key follows it.
    """
    parts = place.split("/")
    for length in range(len(parts) - 1, 1, -1):
        if (home := "/".join(parts[:length])) in KEYS and all(parts):
            return home, parts[length:]
    raise ValueError(f"{place!r} is no place in a record, allowed: {', '.join(KEYS)}, and a key")
