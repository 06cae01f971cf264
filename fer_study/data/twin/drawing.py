"""Drawing synthetic faces: signed-distance shapes, anti-aliased, many faces at once.

Shapes are painted in the frontal frame of `geometry`. Dimensions: B faces, S = 96 drawing size.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

from .geometry import SIZE, SUPER, landmarks, region_masks, shape_of, to_face, to_image
from .parameters import Params

PIXEL = np.float32(2 / (SIZE * SUPER))


def cover(inside: np.ndarray, soft: float = float(PIXEL)) -> np.ndarray:
    """Computes coverage in [0, 1] from a signed distance that is positive inside."""
    return np.clip(inside * np.float32(1 / soft) + np.float32(0.5), 0, 1)


def ellipse(
    x: np.ndarray, y: np.ndarray, a: np.ndarray | float, b: np.ndarray | float
) -> np.ndarray:
    """Approximates the signed distance to an ellipse at the origin, positive inside."""
    return (1 - np.sqrt((x / a) ** 2 + (y / b) ** 2)) * np.minimum(a, b)


def bump(x: np.ndarray, y: np.ndarray, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Computes a soft blob in [0, 1] of half axes a and b."""
    return np.maximum(1 - (x / a) ** 2 - (y / b) ** 2, 0) ** 2


def paint(tone: np.ndarray, alpha: np.ndarray, colour: np.ndarray | float) -> None:
    """Blends ``colour`` over ``tone`` in place."""
    tone += alpha * (colour - tone)


class Window:
    """Opens a rectangle of every picture around a point: small features cost little.

    Attributes:
        x, y: (B, h, w) float32 positions in the frame of the face, relative to the centre.
        tone: (B, h, w) float32 copy of the picture; written back by `close`.
    """

    def __init__(
        self, canvas: Canvas, centre: tuple[np.ndarray, np.ndarray], half: tuple[float, float]
    ) -> None:
        size, p = SIZE * SUPER, canvas.p
        x, y = to_image(p, *centre)
        h, w = (int(2 * t / PIXEL) for t in half)
        rows = (
            np.clip((y + 1) / PIXEL - h / 2, 0, size - h).astype(np.int32)
            + np.arange(h, dtype=np.int32)[:, None]
        )
        columns = np.clip((x + 1) / PIXEL - w / 2, 0, size - w).astype(np.int32) + np.arange(
            w, dtype=np.int32
        )
        face = np.arange(len(x), dtype=np.int32)[:, None, None] * (size * size)
        self.index, self.canvas = face + rows * size + columns, canvas
        self.x = canvas.u.ravel()[self.index] - centre[0]
        self.y = canvas.v.ravel()[self.index] - centre[1]
        self.tone = canvas.tone.ravel()[self.index]

    def close(self) -> None:
        self.canvas.tone.ravel()[self.index] = self.tone


class Canvas:
    """Holds B pictures: ``tone``, ``u``, ``v`` (B, S, S) float32; ``p`` (B, 1, 1) columns."""

    def __init__(self, p: Params) -> None:
        self.p = {k: v.astype(np.float32)[:, None, None] for k, v in p.items()}
        grid = (np.arange(SIZE * SUPER, dtype=np.float32) + np.float32(0.5)) * PIXEL - 1
        self.px, self.py = grid[None, None, :], grid[None, :, None]
        self.u, self.v = to_face(self.p, self.px, self.py)
        self.tone = np.zeros_like(self.u)
        self.ink = 0.3 * self.p["skin_tone"]
        self.skin = self.p["skin_tone"]


def draw_backdrop(c: Canvas) -> None:
    """Draws background, neck and shoulders, and the hair behind the head."""
    p, u, v = c.p, c.u, c.v
    along = np.cos(p["back_angle"]) * c.px + np.sin(p["back_angle"]) * c.py
    phase = p["back_frequency"] * along + p["back_angle"]
    c.tone[:] = p["back_tone"] + p["back_wave"] * np.sin(phase)
    is_long = (p["hair"] == 2) | ((p["hair"] == 3) & (p["masculine"] < 0.5))
    lower = np.where(is_long, np.float32(0.52), np.float32(1.25))  # short hair ends above the chin
    width = p["head_width"] + 0.05 + 0.1 * is_long
    behind = ellipse(u, (v + 0.1) * np.where(v < -0.1, 1, lower), width, 0.92)
    paint(c.tone, cover(behind) * (p["hair"] > 0), p["hair_tone"] * 0.8)
    paint(c.tone, cover(np.minimum(0.42 - np.abs(u) + 0.2 * (v - 0.8), v - 0.6)), c.skin * 0.68)
    paint(c.tone, cover(v - 1.12 - 0.12 * np.abs(u)), p["cloth"])


def draw_head(c: Canvas) -> None:
    """Draws ears, head, hair above the forehead, soft modelling and beard."""
    p, u, v = c.p, c.u, c.v
    side = np.abs(u)
    paint(c.tone, cover(ellipse(side - p["head_width"], v + 0.03, 0.09, 0.19)), c.skin * 0.8)
    lower = np.maximum(v + 0.1, 0)
    width = p["head_width"] * (1 - p["jaw"] * lower * lower)
    x, y = side / width, v / (p["head_height"] + p["chin"] * (v > 0))
    x, y = x * x, y * y
    radius = np.sqrt(x + y)
    radius += p["square"] * (np.sqrt(np.sqrt(x * x + y * y)) - radius) * (v > 0)
    inside = cover((1 - radius) * 0.7)
    c.head = inside
    paint(c.tone, inside, c.skin)
    shade = 0.20 * np.maximum(radius - 0.55, 0) + 0.1 * bump(side - 0.5, v - 0.45, 0.3, 0.35)
    shade -= 0.10 * bump(side - 0.4, v - 0.16, 0.26, 0.2) + 0.08 * bump(u, v + 0.5, 0.5, 0.3)
    shade += 0.16 * bump(side - p["eye_spacing"], v - p["eye_height"] + 0.03, 0.24, 0.16)
    waves = np.sin(v * 70 + 1.5 * np.sin(3 * u)) > 0.55
    lines = np.clip(0.5 * p["lines"] + 0.6 * (p["au1"] + p["au2"]) - 0.35, 0, 1)
    shade += 0.13 * lines * waves * bump(u, v + 0.52, 0.45, 0.13)
    c.tone *= 1 - shade * inside
    ragged = 0.02 * np.sin(p["streaks"] * u)
    ragged = ragged + 0.02 * np.sin(0.37 * p["streaks"] * u + 9 * p["parting"])
    moustache = np.minimum(0.08 - np.abs(v - 0.37), 0.3 - side)
    beard = np.maximum(v - 0.3 - 0.5 * np.maximum(0.45 - side, 0) + 0.5 * ragged, moustache)
    paint(c.tone, cover(beard, 0.1) * inside * p["beard"], p["hair_tone"] * 0.9 + 0.03)
    fringe, cropped = p["hair"] == 3, (p["hair"] == 1) & (p["masculine"] > 0.5)
    line = p["hairline"] - 0.02 + 0.13 * fringe - 0.08 * cropped
    line = line + (0.6 - 0.35 * cropped) * (u - 0.5 * p["parting"] * (1 - fringe)) ** 2
    temple = np.minimum(side - 0.88 * p["head_width"] - 0.03, -0.05 - 0.2 * cropped - v)
    front = np.maximum(line - v + ragged * (1 - 0.5 * cropped), temple)
    combed = p["streaks"] * (u - 0.5 * p["parting"]) * (1.2 + 0.6 * v)
    texture = p["hair_tone"] * (0.95 + 0.1 * np.sin(combed) + 0.08 * np.sin(2.3 * combed + 4 * v))
    crown = cover(ellipse(u, v + 0.1, p["head_width"] + 0.07, 0.94))
    paint(c.tone, cover(front) * crown * (p["hair"] > 0), texture)


def draw_nose(c: Canvas) -> None:
    """Draws bridge, tip, wings and nostrils; wrinkles of AU 9 and the frown of AU 4."""
    p = c.p
    shift = 0.1 * p["sin_yaw"]
    w = Window(c, (shift, p["nose_v"]), (0.32, 0.5))
    x, y, wing = w.x, w.y, p["wing"]
    bridge = np.abs(x + shift * np.minimum(-y / 0.35, 1))
    shade = 0.2 * bump(bridge - 0.085, y + 0.16, 0.07, 0.3)
    shade += 0.3 * bump(np.abs(x) - wing, y, 0.045, 0.07)
    shade += 0.28 * bump(x, y - 0.05, 1.1 * wing, 0.045)
    shade -= 0.13 * bump(x, y + 0.03, 0.06, 0.06) + 0.1 * bump(bridge, y + 0.2, 0.05, 0.22)
    wrinkles = (np.sin(y * 75 + 14 * np.abs(x)) > 0.1) * bump(x, y + 0.24, 0.19, 0.17)
    shade += 0.45 * np.minimum(p["au9"], 1) * wrinkles
    frown = bump(np.abs(x) - 0.045, y + p["nose_v"] - p["eye_height"] + 0.14, 0.022, 0.13)
    shade += (0.6 * np.minimum(p["au4"], 1) + 0.12 * p["lines"]) * frown
    w.tone *= 1 - shade
    nostrils = cover(ellipse(np.abs(x) - 0.5 * wing, y - 0.025, 0.33 * wing, 0.022))
    paint(w.tone, 0.75 * nostrils, c.ink * 0.6)
    w.close()


def draw_eye(c: Canvas, side: float) -> None:
    """Draws the eye, brow and glasses of one side: -1 (viewer's left) or 1."""
    p = c.p
    w = Window(c, (side * p["eye_spacing"], p["eye_height"] - 0.06), (0.42, 0.42))
    x, y, half = w.x * side, w.y - 0.06, p["eye_w"]
    y = y + p["eye_tilt"] * x / half
    t = x / half
    arch = np.maximum(1 - t * t, -1)
    top, low = y + p["lid_top"] * arch * (1.25 - 0.25 * arch), p["lid_low"] * arch - y
    opened = cover(np.minimum(top, low))
    paint(w.tone, opened, 0.35 + 0.6 * c.skin)
    gx, gy = x - side * p["gaze_x"], y - p["gaze_y"] + 0.01
    ball = np.sqrt(gx * gx + gy * gy)
    paint(w.tone, opened * cover(0.082 - ball), p["iris"])
    paint(w.tone, opened * cover(0.038 - ball), 0.03)
    paint(w.tone, opened * cover(0.02 - np.abs(gx + 0.03 * side) - np.abs(gy + 0.03)), 0.95)
    across = np.clip(1.15 - np.abs(t), 0, 1)
    lash = np.float32(0.02) * (1 + 0.5 * (1 - p["masculine"]))
    paint(w.tone, cover(lash - np.abs(top)) * np.minimum(4 * across, 1), c.ink * 0.45)
    paint(w.tone, 0.45 * cover(0.012 - np.abs(low)) * np.minimum(3 * across, 1), c.ink)
    paint(w.tone, 0.4 * cover(0.012 - np.abs(top + 0.05)) * across, c.ink)
    bag = 0.55 * np.minimum(p["au6"], 1) + 0.3 * p["au7"] + 0.4 * p["lines"]
    bag = bag * np.clip(1.2 - np.abs(t), 0, 1)
    paint(w.tone, 0.55 * bag * cover(0.014 - np.abs(low + 0.055)), c.ink)
    rays = np.sin(np.arctan2(y, np.maximum(x - half, 0.01)) * 9) > 0.3
    feet = rays * bump(x - half - 0.1, y, 0.09, 0.13)
    paint(w.tone, np.minimum(0.6 * p["au6"] + 0.25 * p["lines"], 0.8) * feet, c.ink)
    draw_brow(c, x, w.y - 0.06 - p["brow_v"], w.tone)
    rim = 0.165 + 0.03 * p["glasses_round"]
    level = w.y - 0.06
    ring = np.abs(ellipse(x, level - 0.02, 0.25, rim))
    bridge = np.minimum(0.015 - np.abs(level + 0.03), np.abs(x + 0.01) - 0.25)
    frame = np.maximum(0.018 - ring, bridge)
    paint(w.tone, cover(frame) * p["glasses"], 0.12)
    w.close()


def draw_brow(c: Canvas, x: np.ndarray, y: np.ndarray, tone: np.ndarray) -> None:
    """Draws a brow, its ends apart; ``x`` grows outward, ``y`` down from its own height."""
    p = c.p
    t = (x - p["brow_u"]) / 0.21
    inner, outer = np.clip(0.5 - 0.5 * t, 0, 1.2), np.clip(0.5 + 0.5 * t, 0, 1.2)
    centre = p["brow_in"] * inner * inner + p["brow_out"] * outer * outer
    centre = centre - p["brow_bow"] * (1 - t * t)
    thick = p["brow_thick"] * np.clip(1.25 - 0.55 * outer, 0, 1)
    inside = np.minimum(thick - np.abs(y - centre), (1 - np.abs(t)) * 0.21)
    paint(tone, 0.9 * cover(inside, 0.03), np.minimum(c.p["hair_tone"], 0.75 * c.skin) * 0.8)


def draw_mouth(c: Canvas) -> None:
    """Draws lips, teeth and tongue, the folds beside and the shadow below."""
    p = c.p
    w = Window(c, (0 * p["mouth_v"], p["mouth_v"] + 0.08), (0.56, 0.46))
    x, y = w.x, w.y + 0.08
    side, t = np.abs(x), x / p["mouth_w"]
    t2 = np.minimum(t * t, 1.5)
    away = side - p["wing"] - 0.05 - (0.1 + 0.12 * p["au12"]) * np.clip((y + 0.3) / 0.3, 0, 1.2)
    fold = cover(0.02 - np.abs(away), 0.04) * np.clip((y + 0.33) / 0.1, 0, 1)
    fold = fold * np.clip((0.06 - y) / 0.12, 0, 1)
    paint(w.tone, 0.5 * p["fold"] * fold, c.ink)
    y = y - p["corner"] * t2 - p["smirk"] * t
    arch, round_ = 1 - t2, 1 - t2 * t2
    top, low = y + p["gap_top"] * round_, p["gap_low"] * round_ - y
    within = np.minimum((1 - np.abs(t)) * 0.25, 1)
    bow = p["lip_top"] * arch * (1 - 0.35 * bump(x, x, 0.1, 0.1))
    shadow = bump(x, y - p["gap_low"] - p["lip_low"] - 0.06, 0.75 * p["mouth_w"], 0.05)
    w.tone *= 1 - (0.25 + 0.2 * p["au15"]) * shadow
    lip = c.skin * p["lip_tone"]
    paint(w.tone, cover(np.minimum(np.minimum(top + bow, -y), within), 0.03), lip * 0.86)
    paint(w.tone, cover(np.minimum(np.minimum(low + p["lip_low"] * arch, y), within), 0.03), lip)
    opened = cover(np.minimum(np.minimum(top, low), within))
    paint(w.tone, opened, 0.07)
    paint(w.tone, opened * 0.45 * cover(0.06 - low - 0.03 * t2, 0.05), lip)
    paint(w.tone, opened * p["teeth"] * cover(0.075 - top, 0.03), 0.9)
    paint(w.tone, opened * p["low_teeth"] * cover(0.05 - low, 0.03), 0.82)
    seam = np.minimum(np.abs(top), np.abs(low))
    paint(w.tone, 0.8 * cover(np.minimum(0.013 - seam, within + 0.012)), c.ink * 0.55)
    paint(w.tone, 0.5 * cover(0.025 - np.sqrt((side - p["mouth_w"]) ** 2 + y * y), 0.04), c.ink)
    w.close()


def draw_occluder(c: Canvas) -> None:
    """Draws a hand of four fingers, or a lock of hair, in front of some faces."""
    p = c.p
    for code, rows in ((k, np.flatnonzero(p["occlusion"][:, 0, 0] == k)) for k in (1, 2)):
        if not len(rows):
            continue
        q = {k: v[rows] for k, v in p.items()}
        u, v, tone = c.u[rows], c.v[rows], c.tone[rows]
        sign = np.where(q["occluder_x"] < 0, np.float32(-1), np.float32(1))
        if code == 1:
            x, y = u * sign - 0.15 - 0.3 * np.abs(q["occluder_x"]), v - q["occluder_y"]
            for k in range(4):
                fy = y - 0.15 * k + 0.25 * x
                tip = np.float32((0.05, 0.0, 0.03, 0.12)[k])
                finger = 0.072 - np.sqrt(np.minimum(x - tip, 0) ** 2 + fy * fy)
                paint(tone, cover(finger + 0.015), c.skin[rows] * 0.55)
                paint(tone, cover(finger, 0.05), c.skin[rows] * 0.92)
        else:
            strand = u * sign - 0.1 - 0.45 * np.abs(q["occluder_x"]) - 0.35 * (v + 0.5)
            lock = np.minimum(0.1 + 0.05 * np.sin(9 * v) - np.abs(strand), 0.9 - np.abs(v + 0.4))
            paint(tone, cover(lock), q["hair_tone"] * (0.9 + 0.3 * np.sin(60 * strand)))
        c.tone[rows] = tone


def finish(c: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Lights, reduces to 48 px and spoils the pictures: (B, 48, 48) uint8."""
    p = c.p
    light = 1 + p["light_x"] * c.u + p["light_y"] * c.v
    c.tone *= 1 + (light - 1) * np.maximum(c.head, 0.35)
    small = c.tone.reshape(len(c.tone), SIZE, SUPER, SIZE, SUPER).mean((2, 4), dtype=np.float32)
    for axis in (1, 2):
        small += p["blur"] * (np.roll(small, 1, axis) + np.roll(small, -1, axis) - 2 * small)
    small = (small * p["gain"] - 0.5) * p["contrast"] + 0.5
    for i in np.flatnonzero(p["watermark"]):
        text = rng.random((5, 26)) < 0.5
        text[:, 3::4] = False
        row, column = rng.integers(2, 40), rng.integers(0, 20)
        small[i, row : row + 5, column : column + 26] += 0.45 * text
    small += p["noise"] * rng.standard_normal(small.shape, dtype=np.float32)
    coarse = np.flatnonzero(p["jpeg"])
    blocks = dctn(small[coarse].reshape(-1, 6, 8, 6, 8), axes=(2, 4), norm="ortho")
    order = np.add.outer(np.arange(8, dtype=np.float32), np.arange(8, dtype=np.float32))
    step = p["jpeg"][coarse, :, :, None, None] * (1 + order[:, None, :])
    blocks = idctn(np.round(blocks / step) * step, axes=(2, 4), norm="ortho")
    small[coarse] = blocks.reshape(-1, SIZE, SIZE)
    return (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)


def draw(
    p: Params, units: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws B faces.

    Args:
        p: columns of B numbers (`parameters.people` and `parameters.world`).
        units: (B, A) float32 action units.
        rng: source of noise and watermarks only.

    Returns:
        (B, 48, 48) uint8 images, (B, 48, 48) uint8 region bits, (B, 22, 2) float32 landmarks.
    """
    p = shape_of(p, units)
    c = Canvas(p)
    draw_backdrop(c)
    draw_head(c)
    draw_nose(c)
    draw_eye(c, -1.0)
    draw_eye(c, 1.0)
    draw_mouth(c)
    draw_occluder(c)
    return finish(c, rng), region_masks(c.p, c.u, c.v), landmarks(p)
