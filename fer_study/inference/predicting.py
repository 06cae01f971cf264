"""What a trained network says of the faces in pictures."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..analysis import conformal
from ..data.readers.pictures import cut_out, pixels
from ..data.rows import BadRow, Options, printable
from ..settings.errors import InputError
from ..training.explain import NoMap, grad_cam
from .model_folder import TrainedModel, open_model
from .pictures import (
    Box,
    Seen,
    Source,
    as_list,
    checked_box,
    clipped,
    find_faces,
    frames,
    in_mode,
    name_of,
)

log = logging.getLogger(__name__)

NO_FACE = "no face found"
LONGEST = 4
"""How many times as long as the other a side of a face may be."""
Draw = Callable[[Seen, TrainedModel, np.ndarray, np.ndarray, Sequence[Box]], None]
"""What takes the faces of a picture and makes maps of them; see ``Maps.write``."""
PLACE = ("path", "frame", "time", "x", "y", "width", "height")


def predict(
    pictures: Source | Sequence[Source],
    model: str | Path | TrainedModel | None = None,
    *,
    box: tuple[int, int, int, int] | None = None,
    whole: bool = False,
    level: float = 0.9,
    every: float = 1.0,
    cam: str | Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Find the faces in pictures, and say which expression a person would name for each.

    Args:
        pictures: one or several: a path of a picture, a video, or a folder of such; a PIL image; or
            an array (H, W) or (H, W, 3) uint8.
        model: a model folder, the key of a run that was trained here, or what ``open_model`` gave;
            None: the shipped model.
        box: left, top, width and height of the face, in pixels, instead of looking for faces.
        whole: take each picture as one face.
        level: how often a conformal set is to hold the label: 0.5, 0.51, ... 0.99.
        every: seconds between two frames of a video; 0: every frame.
        cam: a folder for pictures with the Grad-CAM map of each predicted class over its face.
        progress: show a bar.

    Returns:
        A row a face: ``path``; ``frame`` and ``time`` in seconds, of a video; ``x, y, width,
        height`` of the face in pixels of the upright picture; ``predicted``; a column of calibrated
        probabilities for each class; ``set``, a tuple of classes; ``problem``, empty. A picture
        without a face has a row that says so there, and so has one that cannot be read: the log
        says it too, and the others are still done.

    Raises:
        InputError: there is no such model, or a wrong ``box``, ``level`` or ``every``.
    """
    trained, given = open_model(model), checked_box(box)
    if not every >= 0:
        raise InputError(f"every is {every}, allowed: 0 and more")
    if whole and given:
        raise InputError("a box and the whole picture are both given, allowed: one of them")
    least, rows, sources = trained.threshold(level), [], as_list(pictures)
    paths = [str(x) for x in sources if isinstance(x, str | Path)]
    maps = Maps(Path(cam), paths).write if cam else None
    with logging_redirect_tqdm(), tqdm(sources, unit="file", disable=not progress) as bar:
        for place, source in enumerate(bar):
            name = name_of(source, place)
            try:
                for seen in frames(source, name, every):
                    rows += look_at(seen, trained, given, whole, least, maps)
            except InputError as error:
                log.error("%s", error)
                rows.append({"path": name, "problem": str(error).removeprefix(f"{name}: ")})
    columns = [*PLACE, "predicted", *trained.settings.classes, "set", "problem"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(["frame", "x", "y", "width", "height"], "Int64"))


def look_at(
    seen: Seen, model: TrainedModel, box: Box | None, whole: bool, least: float, maps: Draw | None
) -> list[dict[str, object]]:
    """Make the rows of one picture.

    Args:
        least: see ``conformal.threshold``.

    Raises:
        BadRow: see ``cut_face``; or the network has no map.
    """
    row = {"path": seen.path, "frame": seen.frame, "time": seen.time, "problem": ""}
    given = (0, 0, *seen.picture.size) if whole else box
    boxes = [given] if given else find_faces(seen.picture, seen.path)
    if not boxes:
        return [row | {"problem": NO_FACE}]
    faces = np.stack([cut_face(seen, one, model) for one in boxes])
    boxes = [clipped(one, seen.picture.size) for one in boxes]
    said = model.log_probabilities(faces)
    shares, members = model.calibrated(said), conformal.sets(np.exp(said), least)
    order, names = np.argsort(-said, axis=1, kind="stable"), np.array(model.settings.classes)
    if maps:
        maps(seen, model, faces, order[:, 0], boxes)
    return [
        row
        | dict(zip(PLACE[3:], boxes[i], strict=True))
        | {"predicted": names[order[i, 0]]}
        | dict(zip(names, shares[i], strict=True))
        | {"set": tuple(names[k] for k in order[i] if members[i, k])}
        for i in range(len(boxes))
    ]


def cut_face(seen: Seen, box: Box, model: TrainedModel) -> np.ndarray:
    """Cut a face out as the readers of datasets do: (C, S, S) uint8.

    Raises:
        BadRow: the box is outside the picture, or far from a square.
    """
    x, y, width, height = box
    part = cut_out(seen.picture, (x, y, x + width, y + height), seen.path)
    if max(part.size) > LONGEST * min(part.size):  # it will be padded to a square
        what = f"a face of {part.width}x{part.height} pixels, allowed: sides of 1 to {LONGEST}"
        raise BadRow(seen.path, "box not allowed", what)
    options = Options(size=model.settings.size, colour=model.settings.channels == 3)
    return pixels(part, options, seen.path)


class Maps:
    """Writes pictures with Grad-CAM maps into a folder, under the names of the files.

    Args:
        paths: of all files; below the folder that holds them all, each keeps its place.
    """

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        self.folder = folder
        parents = [os.path.dirname(os.path.abspath(path)) for path in paths]
        root = os.path.commonpath(parents) if parents else ""
        self.places = {printable(path): os.path.relpath(path, root) for path in paths}
        folder.mkdir(parents=True, exist_ok=True)

    def write(
        self,
        seen: Seen,
        model: TrainedModel,
        faces: np.ndarray,
        classes: np.ndarray,
        boxes: Sequence[Box],
    ) -> None:
        """Write one picture.

        Args:
            faces: (n, C, S, S) uint8.
            classes: (n,) int64, what each map explains.
        """
        picture = with_maps(seen, model, faces, classes, boxes)
        part = "" if seen.frame is None else f".{seen.frame:06d}"
        target = self.folder / f"{self.places.get(seen.path, seen.path)}{part}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(target)


def with_maps(
    seen: Seen, model: TrainedModel, faces: np.ndarray, classes: np.ndarray, boxes: Sequence[Box]
) -> Image.Image:
    """Make a copy of a picture with Grad-CAM maps over its faces; arguments as of ``Maps.write``.

    Raises:
        BadRow: the network has no map, or the picture no gray levels or colours.
    """
    import torch

    side = model.settings.network.input_size
    try:
        maps = grad_cam(model.network, torch.from_numpy(faces), classes, model.augment, side)
    except (NoMap, NotImplementedError) as why:
        raise BadRow(seen.path, "no map", f"no Grad-CAM map ({why or 'no cam_layer'})") from None
    picture = in_mode(seen.picture, "RGB", seen.path)
    for heat, box, k in zip(maps, boxes, classes, strict=True):
        lay_over(picture, heat, box, model.settings.classes[k])
    return picture


def lay_over(picture: Image.Image, heat: np.ndarray, box: Box, name: str) -> None:
    """Lay a map (S, S) in [0, 1] over a face, in place, with its frame and its class."""
    from matplotlib import colormaps  # half a second to import

    x, y, width, height = box
    side = max(width, height)
    layer = colormaps["inferno"](heat, bytes=True)
    layer[..., 3] = np.rint(160 * heat)
    square = Image.fromarray(layer).resize((side, side), Image.Resampling.BILINEAR)
    left, top = (side - width) // 2, (side - height) // 2  # the face was padded to a square
    square = square.crop((left, top, left + width, top + height))
    picture.paste(square, (x, y), square)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((x, y, x + width - 1, y + height - 1), outline=(255, 255, 255))
    draw.text((x + 2, y + 2), name, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
