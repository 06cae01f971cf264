"""People in the data: names become salted hashes, and nobody is in two splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable


def hashed(name: str, salt: str) -> str:
    """Hashes a name: 12 hexadecimal digits of its salted SHA-256."""
    text = f"{salt}/{name}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:12]


def split_by_group(groups: Iterable[str], salt: str) -> dict[str, str]:
    """Splits groups (people, pictures) 80/10/10 by rows, so that none is in two splits.

    Groups are taken in the order of their hashes, so the split is the same on every machine.

    Args:
        groups: the group of every row.
    """
    size = Counter(groups)
    tenth, taken, split = size.total() / 10, Counter(), {}
    for group in sorted(size, key=lambda group: hashed(group, salt)):
        fits = (
            x for x in ("test", "validation") if taken[x] + size[group] / 2 <= tenth or not taken[x]
        )
        split[group] = next(fits, "train")
        taken[split[group]] += size[group]
    return split
