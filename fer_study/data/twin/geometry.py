"""Place synthetic faces: what action units do, projection, landmarks and regions.

Every face lives in a frontal frame (u to the viewer's right, v down, the head about 1.4 wide and
1.9 high). Each pixel is taken back into that frame through the pose (`to_face`), and shapes are
painted there; landmarks go forward (`to_image`). Images span [-1, 1] in both directions.
Dimensions: B faces.
"""

from __future__ import annotations

import numpy as np

from .parameters import ACTION_UNITS, REGION_NAMES, Params

SIZE, SUPER = 48, 2
"""Pixels of the image, and how much larger it is drawn."""

DEPTH_U, DEPTH_V = 0.5, 0.25
LANDMARK_NAMES = (
    "brow_left_outer", "brow_left_inner", "brow_right_inner", "brow_right_outer",
    "eye_left_outer", "eye_left_inner", "eye_left_top", "eye_left_bottom",
    "eye_right_inner", "eye_right_outer", "eye_right_top", "eye_right_bottom",
    "nose_tip", "nostril_left", "nostril_right", "mouth_left", "mouth_right",
    "lip_top", "lip_bottom", "chin", "jaw_left", "jaw_right",
)  # fmt: skip
"""Rows of ``truth["landmarks"]``; left and right are the viewer's."""


def shape_of(p: Params, units: np.ndarray) -> Params:
    """Adds to ``p`` positions, openings and creases, as the action units put them.

    Args:
        units: (B, A) float32 intensities, columns as ``ACTION_UNITS``.
    """
    a = {f"au{unit}": units[:, i].astype(np.float64) for i, unit in enumerate(ACTION_UNITS)}
    au1, au2, au4, au5, au6, au7, au9, au10, au12, au15, au16, au20, au23, au25, au26 = a.values()
    opening, lips = p["eye_open"] * p["eye_size"], p["lips"]
    return p | a | {
        "eye_w": 0.165 * p["eye_size"],
        "lid_top": opening * np.maximum(
            0.075 + 0.055 * au5 - 0.034 * au7 - 0.022 * au6 - 0.03 * au9 - 0.015 * au15, 0.012),
        "lid_low": opening * np.maximum(
            0.05 + 0.008 * au5 - 0.03 * au6 - 0.02 * au7 - 0.018 * au9, 0.006),
        "brow_v": p["brow_height"] - 0.05 * (au1 + au2) + 0.06 * au4 + 0.05 * au9,
        "brow_in": -0.115 * au1 + 0.135 * au4 + 0.06 * au9,
        "brow_out": -0.12 * au2 + 0.035 * au1 - 0.02 * au4,
        "brow_u": 0.02 - 0.045 * au4 - 0.02 * au9,
        "brow_bow": p["brow_arch"] + 0.035 * au2 - 0.02 * au4,
        "nose_v": p["nose_length"] - 0.045 * au9 - 0.015 * au10,
        "wing": p["nose_width"] * (1 + 0.15 * au9 + 0.1 * au12 + 0.08 * au10),
        "mouth_v": p["mouth_height"] + 0.035 * au26 - 0.025 * au10 + 0.015 * au12,
        "mouth_w": p["mouth_width"] * (
            1 + 0.3 * au12 + 0.32 * au20 - 0.28 * au26 * (1 - au20 / 2) - 0.12 * au23
            + 0.05 * au10),
        "corner": -0.125 * au12 + 0.12 * au15 + 0.05 * au20 + 0.03 * au10,
        "gap_top": 0.035 * au25 * (1 + au20 / 2) + 0.055 * au10 + 0.06 * au26,
        "gap_low": 0.06 * au25 * (1 + 0.5 * au12) + 0.25 * au26 + 0.065 * au16,
        "lip_top": 0.048 * lips * (1 - 0.65 * np.minimum(au23, 1)) * (1 - 0.25 * au12),
        "lip_low": 0.068 * lips * (1 - 0.6 * np.minimum(au23, 1)) * (1 - 0.2 * au12)
        * (1 + 0.2 * au15),
        "teeth": np.clip(au12 + 0.8 * au10 + 0.7 * au20 + 0.6 * au16 + 0.3 * au26, 0, 1),
        "low_teeth": np.clip(au16 + 0.6 * au20, 0, 1),
        "chin": 0.09 * au26,
        "fold": np.clip(0.25 * p["lines"] + 0.8 * au12 + au10 + 0.5 * au9 + 0.2 * au15, 0, 1.2),
        "sin_yaw": np.sin(np.radians(p["yaw"])), "cos_yaw": np.cos(np.radians(p["yaw"])),
        "sin_pitch": np.sin(np.radians(p["pitch"])), "cos_pitch": np.cos(np.radians(p["pitch"])),
        "sin_roll": np.sin(np.radians(p["roll"])), "cos_roll": np.cos(np.radians(p["roll"])),
    }  # fmt: skip


def to_image(p: Params, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Projects points of the face forward, depth being a paraboloid."""
    x = p["cos_yaw"] * u - DEPTH_U * p["sin_yaw"] * (u * u - 0.4)
    y = p["cos_pitch"] * v - DEPTH_V * p["sin_pitch"] * (v * v - 0.4)
    return (
        p["scale"] * (p["cos_roll"] * x - p["sin_roll"] * y) + p["shift_x"],
        p["scale"] * (p["sin_roll"] * x + p["cos_roll"] * y) + p["shift_y"],
    )


def to_face(p: Params, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverts `to_image`: pixels to the frame of the face, clamped behind the silhouette."""

    def unbend(q: np.ndarray, cos: np.ndarray, bend: np.ndarray) -> np.ndarray:
        q = q - 0.4 * bend
        return 2 * q / (cos + np.sqrt(np.maximum(cos * cos - 4 * bend * q, 0.01)))

    x, y = (x - p["shift_x"]) / p["scale"], (y - p["shift_y"]) / p["scale"]
    along, down = p["cos_roll"] * x + p["sin_roll"] * y, p["cos_roll"] * y - p["sin_roll"] * x
    u = unbend(along, p["cos_yaw"], DEPTH_U * p["sin_yaw"])
    return u, unbend(down, p["cos_pitch"], DEPTH_V * p["sin_pitch"])


def landmarks(p: Params) -> np.ndarray:
    """Computes (B, 22, 2) float32 x and y in pixels of 48 px, rows as ``LANDMARK_NAMES``."""
    eye, spacing, half, mouth = p["eye_height"], p["eye_spacing"], p["eye_w"], p["mouth_v"]
    inner, outer = spacing + p["brow_u"] - 0.19, spacing + p["brow_u"] + 0.19
    brow_in, brow_out = eye + p["brow_v"] + p["brow_in"], eye + p["brow_v"] + p["brow_out"]
    shift, jaw = 0.1 * p["sin_yaw"], 0.85 * p["head_width"]
    corner, zero = mouth + p["corner"], np.zeros_like(eye)
    points = [
        (-outer, brow_out), (-inner, brow_in), (inner, brow_in), (outer, brow_out),
        (-spacing - half, eye), (half - spacing, eye),
        (-spacing, eye - p["lid_top"]), (-spacing, eye + p["lid_low"]),
        (spacing - half, eye), (spacing + half, eye),
        (spacing, eye - p["lid_top"]), (spacing, eye + p["lid_low"]),
        (shift, p["nose_v"]), (shift - p["wing"], p["nose_v"]), (shift + p["wing"], p["nose_v"]),
        (-p["mouth_w"], corner - p["smirk"]), (p["mouth_w"], corner + p["smirk"]),
        (zero, mouth - p["gap_top"] - p["lip_top"]), (zero, mouth + p["gap_low"] + p["lip_low"]),
        (zero, p["head_height"] + p["chin"]), (-jaw, zero + 0.5), (jaw, zero + 0.5),
    ]  # fmt: skip
    xy = np.stack([np.stack(to_image(p, u, v), -1) for u, v in points], axis=1)
    return ((xy + 1) * SIZE / 2 - 0.5).astype(np.float32)


def region_masks(p: Params, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Computes (B, 48, 48) uint8 with bit i set where ``REGION_NAMES[i]`` is."""
    side, v = np.abs(u[:, ::SUPER, ::SUPER]), v[:, ::SUPER, ::SUPER]
    zero, open_ = 0 * p["nose_v"], p["gap_low"] / 2
    boxes = {
        "brows": (p["eye_spacing"] - 0.03, p["eye_height"] + p["brow_v"], 0.29, 0.13),
        "eyes": (p["eye_spacing"], p["eye_height"], 0.24, 0.12),
        "nose": (zero, p["nose_v"] - 0.13, 0.2, 0.24),
        "cheeks": (zero + 0.42, p["nose_v"] + 0.05, 0.2, 0.2),
        "mouth": (zero, p["mouth_v"] + open_ + p["corner"] / 3, p["mouth_w"] + 0.07, 0.15 + open_),
        "jaw": (zero, 0.8 + p["chin"], 0.5, 0.22),
    }
    bits = np.zeros(side.shape, np.uint8)
    for i, name in enumerate(REGION_NAMES):
        cu, cv, half_u, half_v = boxes[name]
        bits |= (((side - cu) / half_u) ** 2 + ((v - cv) / half_v) ** 2 < 1).astype(np.uint8) << i
    return bits
