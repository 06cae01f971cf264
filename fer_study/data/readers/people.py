"""People in the data: names become salted hashes, and nobody is in two splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable


def hashed(name: str, salt: str) -> str:
    """12 hexadecimal digits of the salted SHA-256 of a name."""
    return hashlib.sha256(f"{salt}/{name}".encode("utf-8", "surrogateescape")).hexdigest()[:12]


def split_by_group(groups: Iterable[str], salt: str) -> dict[str, str]:
    """Split of each group (a person, a picture), so that no group is in two: about 80, 10 and 10 % of the rows.

    Groups are taken in the order of their hashes, so the split is the same on every machine.

    Args:
        groups: the group of every row.
    """
    size = Counter(groups)
    order = sorted(size, key=lambda group: hashed(group, salt))
    tenth, taken, split = size.total() / 10, Counter(), {}
    for group in order:
        name = next((s for s in ("test", "validation") if taken[s] + size[group] / 2 <= tenth or not taken[s]), "train")
        split[group] = name
        taken[name] += size[group]
    return split
