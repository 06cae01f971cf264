"""What a spatial transformer does to pictures, from its matrices; whether it undoes a known change.

A matrix says where each position of the result, in coordinates of [-1, 1] with x to the right and
y downwards, is taken from (Jaderberg et al., 2015, eq. 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

COLLAPSED = 0.1
"""Below this share of its side a picture is no picture: the warp reads a line or a spot."""
STRETCHED = 3.0
"""A picture that is magnified so many times as much along one axis as along another is
distorted."""
OUTSIDE = 0.5
"""From this share of its positions outside the picture on, a warp has left it."""
GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)), axis=-1).reshape(-1, 2)


def describe(theta: np.ndarray) -> dict[str, np.ndarray]:
    """Describe warps (n, 2, 3), each entry (n,): what it does, then what is wrong with it.

    ``angle`` (degrees) by which what is seen turns anticlockwise; ``scale``, the share of the side
    that it reads, the geometric mean over axes; ``right`` and ``down``, where the middle
    is read, in shares of the side; ``collapsed``, ``distorted`` (stretched or mirrored),
    ``outside`` (more than half of it lies beyond the edges) and ``degenerate``, any of the three,
    as 0 or 1. A warp that is not finite is all of these.
    """
    finite = np.isfinite(theta).all(axis=(1, 2))
    safe = np.where(finite[:, None, None], theta, 0.0).astype(np.float64)
    matrix, shift = safe[:, :, :2], safe[:, :, 2]
    sizes = np.linalg.svd(matrix, compute_uv=False)
    area = np.linalg.det(matrix)
    read = GRID @ matrix.transpose(0, 2, 1) + shift[:, None]
    beyond = (np.abs(read) > 1 + 1e-6).any(axis=2).mean(axis=1)
    wrong = {
        "collapsed": ~finite | (sizes[:, 1] < COLLAPSED),
        "distorted": ~finite | (area < 0) | (sizes[:, 0] > STRETCHED * sizes[:, 1]),
        "outside": ~finite | (beyond >= OUTSIDE),
    }
    wrong["degenerate"] = np.logical_or.reduce(list(wrong.values()))
    # of the nearest rotation
    turned = np.arctan2(matrix[:, 1, 0] - matrix[:, 0, 1], matrix[:, 0, 0] + matrix[:, 1, 1])
    return {
        "angle": np.degrees(turned),
        "scale": np.sqrt(np.abs(area)),
        "right": shift[:, 0] / 2,
        "down": shift[:, 1] / 2,
        **{name: flags.astype(np.float64) for name, flags in wrong.items()},
    }


def changing(kind: str, size: float) -> np.ndarray:
    """Make the warp (2, 3) that changes a picture in a known way, for example ``changing("turn",
    15)``, which turns what is seen by 15 degrees anticlockwise.

    Args:
        kind: ``none``, ``turn`` (degrees), ``shift right``, ``shift down`` (shares of the side) or
            ``zoom`` (magnification).

    Raises:
        ValueError: another kind.
    """
    theta = np.eye(2, 3)
    if kind == "turn":
        cos, sin = np.cos(np.radians(size)), np.sin(np.radians(size))
        theta[:, :2] = [[cos, -sin], [sin, cos]]
    elif kind == "zoom":
        theta[:, :2] /= size
    elif kind in ("shift right", "shift down"):
        theta[0 if kind == "shift right" else 1, 2] = -2 * size
    elif kind != "none":
        kinds = "none, turn, zoom, shift right, shift down"
        raise ValueError(f"kind is {kind!r}, allowed: {kinds}")
    return theta


UNDOES = {
    "turn": ("angle", lambda size: -size),
    "zoom": ("scale", np.log),
    "shift right": ("right", lambda size: size),
    "shift down": ("down", lambda size: size),
}
"""Kind of a change -> what a warp that undoes it has, and its size there (of scale: the log)."""


def undone(kind: str, sizes: Sequence[float], means: Sequence[float]) -> float:
    """Say which share of a known change the warps undo: the slope of what they do on what would
    undo it; 1: they align, 0: they take no notice, below 0: they add to it. NaN without two sizes.

    Args:
        kind: see ``UNDOES``; ``sizes``: of the change, that of an unchanged picture among them.
        means: what ``describe`` says, the mean over images, one a size.
    """
    wanted = np.array([UNDOES[kind][1](size) for size in sizes], dtype=np.float64)
    found = np.asarray(means, dtype=np.float64)
    if kind == "zoom":
        found = np.log(found)
    if len(wanted) < 2 or not np.ptp(wanted):
        return float("nan")
    away = wanted - wanted.mean()
    return float((away * (found - found.mean())).sum() / (away**2).sum())
