"""Doctor: what lies at a path, whether it is the official dataset, and how to mend it where it is not."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..settings.errors import InputError
from . import LAYOUTS, UNCONFIRMED, canonical, faults, load, official, recognise, to_confirm, unconfirmed, votes
from .faceset import SPLITS, FaceSet, copy_groups
from .labels import EIGHT
from .official import DATASETS
from .readers.files import PICTURES, is_archive
from .rows import TWO_LABELS, Left, Options, many, printable

REMEDIES = {
    "image cannot be decoded": "the file is damaged or no image: fetch it again, or remove it",
    "image file missing": "the table names a file that is not there: unpack all parts of the download",
    "label missing": "the image has no label file: unpack the annotations too",
    "class unknown": "rename the folder to a known class name, or move it away",
    "class without images": "fill or remove the empty folder",
    "file name not of this layout": "move the file away: it is no part of the dataset",
    "twice": "remove the second row",
    TWO_LABELS: "find out which label is right, and remove the other row",
    "value missing": "fill or remove the row",
    "path outside the dataset": "put the image into the dataset's folder, and its path in there into the table",
    "name and folder contradict": "put the file where its name says, or call it after the split that it is of",
    "table and folder contradict": "find out which of the two is right, and mend the other",
    "no face has this shape": "the picture is no cropped face: fetch it again, or remove it",
    "gray levels not allowed": "save the pictures with 8 bits, black as 0 and white as 255",
    "picture too large": "save it smaller",
    "no ordinary file": "remove it: a device or a pipe is no picture",
    "kind of picture not allowed": "save it in gray or RGB",
    "image of another size": "this layout holds 48x48 pictures: a resized copy is another dataset",
}
"""Reason of a bad row -> what to do; any other: the row has to be mended or removed."""

COPY = ("the counts are official, the pixels or their order are not (a copy as JPEG, in folders, or resized)",
        "usable, but published records are found only for the original files, as parquet or CSV")  # fmt: skip
"""Of a set in other files than the original ones: (problem, remedy)."""


def doctor(path: str | Path, dataset: str | None = None, options: Options | None = None) -> dict[str, Any]:
    """Examines a file or folder; wrong input becomes a problem in the report, not an error.

    Rows that are wrong are left out and counted, so that one damaged file does not hide the rest.

    Returns:
        ``path``, ``dataset``, ``layout``, ``about`` (``official.Dataset``), ``images``, ``counts`` and ``official`` (split
        -> class -> images), ``matches`` (whether these two are equal), ``fingerprint``, ``is_official`` (whether it is that
        of the official set), ``votes`` (whether there are FER+ votes), ``dropped`` (class -> images left out, for the set
        has no such), ``left_out`` (reason -> wrong rows), ``wrong_rows`` (the first lines of each reason), ``duplicates``
        and ``people`` (see there), ``blank`` and ``mirrors`` (``faults.of_pictures``), ``problems`` and ``mend`` (one
        remedy for each problem), ``notes`` (what is to be known and need not be mended). None where it cannot be known.
    """
    path, left, doubt = Path(path), Left(), None
    keys = ("dataset", "layout", "about", "images", "counts", "official", "matches", "fingerprint", "is_official", "votes",
            "dropped", "left_out", "duplicates", "people", "blank", "mirrors")  # fmt: skip
    report: dict[str, Any] = {"path": str(path), **dict.fromkeys(keys), "wrong_rows": [], "problems": [], "mend": []}
    report["notes"] = []
    try:
        if canonical.is_canonical(path):
            faces = canonical.read(path, check=True)
            report["layout"] = "canonical"
            doubt = doubt_of(path)
        else:
            if layout := recognise(path, dataset):
                report |= {"dataset": layout.dataset, "layout": layout.name}
                doubt = to_confirm(layout, dataset)
            asked = dataclasses.replace(options or Options(), skip_bad=True)
            faces = load(path, dataset, verify=False, options=asked, left=left)
    except (InputError, OSError) as error:
        report["problems"].append(str(error))
        reason = getattr(error, "reason", "") or (left.lines[0][0] if left.lines else "")
        report["mend"].append(REMEDIES.get(reason.split(":")[0]) or _remedy(path, report, str(error)))
        report["wrong_rows"] = [line for _, line in left.lines if line not in str(error)]
        return report
    report |= judge(faces) | {"wrong_rows": [line for _, line in left.lines]}
    report["notes"] += _unread(path, faces)
    if doubt:
        report |= {"problems": [*report["problems"], doubt[0]], "mend": [*report["mend"], doubt[1]]}
    return report


def doubt_of(path: Path) -> tuple[str, str] | None:
    """(problem, remedy) of an import whose labels nobody confirmed; None of any other."""
    head = canonical.head(path)
    return unconfirmed(head["name"]) if head.get("layout", "").endswith(UNCONFIRMED) else None


def judge(faces: FaceSet) -> dict[str, Any]:
    """What ``doctor`` says of a set that could be read, all but its path, layout and wrong rows.

    What is wrong with the pictures of a set as it was published is a note.
    """
    report, pictures = examine(faces) | {"notes": notes(faces)}, faults.of_pictures(faces)
    if faults.as_published(faces):
        report["notes"] += [fault for fault, _ in pictures["faults"]]
    else:
        found = [*pictures["faults"], *zip(report["problems"], report["mend"], strict=True)]  # blank ones explain the rest
        report |= {"problems": [problem for problem, _ in found], "mend": [remedy for _, remedy in found]}
    report["notes"] += pictures["notes"]
    return report | {"blank": pictures["blank"], "mirrors": pictures["mirrors"]}


def examine(faces: FaceSet) -> dict[str, Any]:
    """The part of ``judge`` that audits keep in their records; what is added here changes their form."""
    known = official.OFFICIAL_COUNTS.get(faces.name) if faces.num_classes == 7 else None
    group = copy_groups(faces.images)
    report = {
        "dataset": faces.name,
        "about": dataclasses.asdict(DATASETS[faces.name]) if faces.name in DATASETS else None,
        "images": len(faces),
        "counts": faces.counts().to_dict("index"),
        "official": official.official_counts(faces.name).to_dict("index") if known else None,
        "matches": official.difference(faces) is None if known or faces.name in official.OFFICIAL_TOTALS else None,
        "fingerprint": faces.fingerprint,
        "is_official": faces.fingerprint == official.FINGERPRINTS.get(faces.name),
        "votes": faces.votes is not None,
        "dropped": faces.dropped,
        "left_out": faces.left_out,
        "duplicates": faults.duplicates(faces, group),
        "people": people(faces),
    }
    found = _problems(faces, report) + faults.conflicts(faces, group)
    return report | {"problems": [problem for problem, _ in found], "mend": [remedy for _, remedy in found]}


def notes(faces: FaceSet) -> list[str]:
    """What is to be known of a set that could be read, and is no fault of it."""
    found, known = _absent(faces), official.OFFICIAL_CONFLICTS.get(faces.name)
    if known and official.difference(faces) is None:
        found.append(f"{many(known, 'group')} of equal images with different labels: so the set was published")
    if faces.name == "fer2013" and faces.votes is None:
        found.append("no FER+ votes: put fer2013new.csv beside fer2013.csv; folders cannot be joined with them")
    if faces.name == "fer2013" and not _in_folders(faces) and official.difference(faces):
        found.append("read as FER2013, as all such tables are; a set of your own has to lie in folders train|test/CLASS")
    if _is_copy(faces) and _in_folders(faces):
        found.append("; ".join(COPY))
    if faces.votes is not None and len(faces) < votes.ENOUGH and not _in_folders(faces):
        found.append(f"not judged whether the votes belong to the images: {len(faces)} of them, {votes.ENOUGH} are needed")
    return found


def _absent(faces: FaceSet) -> list[str]:
    """A note for each split that lacks a class."""
    absent = faces.counts() == 0
    return [f"no images in {split} of {', '.join(row.index[row])}" for split, row in absent.iterrows() if row.any()]


def _unread(path: Path, faces: FaceSet) -> list[str]:
    """A note where more pictures lie at a path than its rows name: a folder that is no split, a file without a label."""
    if canonical.is_canonical(path) or not path.is_dir():
        return []
    rows = len(faces) + sum(faces.left_out.values()) + sum(faces.dropped.values())
    lie = sum(x.suffix.lower() in PICTURES and not x.name.startswith(".") for x in path.rglob("*"))
    return [f"{many(lie - rows, 'picture')} of the {lie} in the folder not read: no row of the set"] if lie > rows else []


def _is_copy(faces: FaceSet) -> bool:
    """Whether the counts are those of an official set of 7 classes, and the fingerprint, at 48 px in gray, is another."""
    mark = official.FINGERPRINTS.get(faces.name, faces.fingerprint)
    as_official = faces.num_classes == 7 and faces.images.shape[1:] == (1, 48, 48) and official.difference(faces) is None
    return as_official and faces.fingerprint != mark


def _in_folders(faces: FaceSet) -> bool:
    """Whether the images lay in folders of their class or split: their ids are paths."""
    return "/" in faces.ids[0]


def people(faces: FaceSet) -> dict[str, int] | None:
    """``people`` in the set, ``images`` of them, and people ``in_several_splits``; None where nobody is known."""
    if "person" not in faces.attributes or faces.attributes["person"].isna().all():
        return None
    splits = pd.Series(faces.split).groupby(faces.attributes["person"].to_numpy()).nunique()
    known = int(faces.attributes["person"].notna().sum())
    return {"people": len(splits), "images": known, "in_several_splits": int((splits > 1).sum())}


def _remedy(path: Path, report: dict[str, Any], error: str) -> str:
    if not path.exists():
        return "give the file or folder that holds the data, or set $FER_STUDY_DATA to the folder above it"
    if is_archive(path) or "is an archive" in error:
        return "unpack it, and give the folder"
    if report["layout"] is None:
        if "; " in (what := error.removeprefix(printable(path))):  # it says what to do
            return what.rsplit("; ", 1)[1]
        return "give the folder that holds these files, unpacked; a damaged file must be downloaded again"
    if re.search(r", (row|line) \d", error):
        return "download this file again, or mend or remove the row that is named"
    wanted = [x.looks_like for x in LAYOUTS if (x.dataset, x.name) == (report["dataset"], report["layout"])]
    return f"download it again, whole: {wanted[0]}" if wanted else "import it again"


def _problems(faces: FaceSet, report: dict[str, Any]) -> list[tuple[str, str]]:
    """(problem, remedy) of a set that could be read."""
    found = [
        (
            f"{many(n, 'row')} wrong: {reason}",
            REMEDIES.get(reason.split(":")[0], "mend or remove these rows") + "; --skip-bad imports the rest",
        )
        for reason, n in faces.left_out.items()
    ]
    missing = [s for s in SPLITS if not (faces.split == s).any()]
    if {"train", "test"} & set(missing):
        found.append(
            (f"no images in {' and '.join(missing)}", "train and test are both needed: add the missing folder or part")
        )
    if wrong := official.difference(faces):
        found.append((wrong, "files or rows are missing, moved or added: fetch the dataset again"))
    elif _is_copy(faces) and not _in_folders(faces):
        found.append(COPY)
    if differs := official.unpublished(faces):
        found.append((differs, "a part of the set is usable; if it should be whole, fetch it again, and check whose numbers "
                               "the classes have"))  # fmt: skip
    if faces.name == "fer2013" and faces.votes is not None and not report["is_official"]:
        share, n = votes.agreement(np.array(faces.classes)[faces.labels], faces.votes)
        found.append((
            f"votes are joined by row order, and these are not the images of FER2013 in its order: the label is the most "
            f"voted emotion of {100 * share:.1f} % of {n} images (62.8 % on FER2013)",
            "put fer2013new.csv beside the original fer2013.csv; no row of either may be moved",
        ))  # fmt: skip
    if report["people"] and (n := report["people"]["in_several_splits"]):
        found.append((f"{'1 person is' if n == 1 else f'{n} people are'} in more than one split", "split by person"))
    return found


def render(report: dict[str, Any]) -> str:
    """The report of ``doctor`` as text."""
    lines = [f"path         {report['path']}"] if report.get("path") else []
    if report.get("layout"):
        lines += [f"layout       {report['dataset']}, {report['layout']}"]
    if report["images"] is not None:
        lines += _about(report)
    for problem, remedy in zip(report["problems"], report["mend"], strict=True):
        lines += [f"problem      {problem}", f"  to mend    {remedy}"]
    lines += [f"note         {note}" for note in report.get("notes", [])]
    if report.get("wrong_rows"):
        lines += ["", "the first wrong rows:", *[f"  {line}" for line in report["wrong_rows"]]]
    return "\n".join(lines + ([] if report["problems"] else ["no problems"]))


def _about(report: dict[str, Any]) -> list[str]:
    about, d, known = report["about"], report["duplicates"], report["people"]
    lines = []
    if about:
        lines += [f"dataset      {about['title']}: {about['images']}", f"labels       {about['labels']}",
                  f"split        {about['split']}", f"licence      {about['licence']}"]  # fmt: skip
    if report["dataset"] == "folders":
        lines += ["name         folders; in an edition: data: {dataset: folders}"]
    lines += [f"images       {report['images']}", "", *_counts_table(report).splitlines(), ""]
    if report["matches"] is not None:
        lines += [f"counts       {'as expected' if report['matches'] else 'differ from those expected'}"]
    official_mark = " (official)" if report["is_official"] else ""
    lines += [f"fingerprint  {report['fingerprint']}{official_mark}", f"FER+ votes   {'yes' if report['votes'] else 'no'}"]
    lines += [f"dropped      {many(n, 'image')} of {name}" for name, n in report["dropped"].items()]
    across = f"({many(d['images'], 'image')}), {d['groups_across_splits']} across splits"
    lines += [f"duplicates   {many(d['groups'], 'group')} of equal images {across}"]
    lines += [f"             {d['test_images_elsewhere']} test images are also in train or validation"]
    if m := report.get("mirrors"):
        lines += [f"mirrored     {many(m['images'], 'image')} with a mirror image in the set"]
        lines += [f"             {m['test_images_elsewhere']} test images have theirs in train or validation"]
    if known:
        several, others = known["in_several_splits"], report["images"] - known["images"]
        lines += [f"people       {known['people']} by the names of {known['images']} images, {several} in several splits"]
        lines += [f"             who is in the other {many(others, 'image')} is not known"] if others else []
    return lines


def _counts_table(report: dict[str, Any]) -> str:
    """Counts by split and class; the official ones stand below, where there are any."""
    table = pd.DataFrame.from_dict(report["counts"], orient="index")
    table = table.loc[[s for s in SPLITS if s in table.index], [c for c in (*EIGHT, "total") if c in table.columns]]
    if report["official"]:
        word = "expected" if report["about"]["split"].startswith("ours") else "official"
        reference = pd.DataFrame.from_dict(report["official"], orient="index").rename(
            index=lambda split: f"  {word} {split}"
        )
        order = [x for split in SPLITS if split in report["official"] for x in (split, f"  {word} {split}")]
        table = pd.concat([table, reference]).reindex(order).fillna(0).astype(int)
    return table.to_string()
