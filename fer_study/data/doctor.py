"""Say what lies at a path, whether it is the official dataset, and how to mend it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..settings.errors import InputError
from . import LAYOUTS, UNCONFIRMED, canonical, load, official, recognise, root_of, to_confirm, votes
from .copies import copy_groups, duplicate_groups
from .faceset import SPLITS, FaceSet
from .faults import Fault, as_published, conflict_faults, count_duplicates, examine_pictures
from .readers.files import PICTURES, is_archive
from .rows import TWO_LABELS, Omitted, Options, pluralise, printable

REMEDIES = {
    "image cannot be decoded": "the file is damaged or no image: fetch it again, or remove it",
    "image file missing": "a file that the table names is not there: unpack the whole download",
    "label missing": "the image has no label file: unpack the annotations too",
    "class unknown": "rename the folder to a known class name, or move it away; classes of your "
    "own are named with --classes",
    "class without images": "fill or remove the empty folder",
    "file name not of this layout": "move the file away: it is no part of the dataset",
    "twice": "remove the second row",
    TWO_LABELS: "find out which label is right, and remove the other row",
    "value missing": "fill or remove the row",
    "path outside the dataset": "put the image into the dataset's folder, and that path into the "
    "table",
    "name and folder contradict": "put the file where its name says, or call it after its split",
    "table and folder contradict": "find out which of the two is right, and mend the other",
    "no face has this shape": "the picture is no cropped face: fetch it again, or remove it",
    "gray levels not allowed": "save the pictures with 8 bits, black as 0 and white as 255",
    "picture too large": "save it smaller",
    "no ordinary file": "remove it: a device or a pipe is no picture",
    "kind of picture not allowed": "save it in gray or RGB",
    "image of another size": "this layout holds 48x48 pictures: a resized copy is another dataset",
}
"""Reason of a bad row -> what to do; any other: the row has to be mended or removed."""

COPY = (
    "the counts are official, the pixels or their order are not (a copy as JPEG, in folders, or "
    "resized)",
    "usable, but published records are found only for the original files, as parquet or CSV",
)
"""Fault of a set in other files than the original ones."""

_UNKNOWN = (
    "dataset",
    "layout",
    "about",
    "images",
    "counts",
    "official",
    "matches",
    "fingerprint",
    "is_official",
    "votes",
    "dropped",
    "left_out",
    "duplicates",
    "people",
    "blank",
    "mirrors",
)


def doctor(
    path: str | Path, dataset: str | None = None, options: Options | None = None
) -> dict[str, Any]:
    """Examines a file or folder; wrong input becomes a problem in the report, not an error.

    Rows that are wrong are left out and counted, so that one damaged file does not hide the rest.

    Returns:
        ``path``, ``dataset``, ``layout``, ``about`` (``official.Dataset``), ``images``, ``counts``
        and ``official`` (split -> class -> images), ``matches`` (whether these two are equal),
        ``fingerprint``, ``is_official`` (whether it is that of the official set), ``votes``
        (whether there are FER+ votes), ``dropped`` (class -> images left out, for the set has no
        such), ``left_out`` (reason -> wrong rows), ``wrong_rows`` (the first lines of each reason),
        ``duplicates``, ``blank`` and ``mirrors`` (see ``faults``), ``people`` (see there),
        ``problems`` and ``mend`` (one remedy for each problem), ``notes`` (what is to be known and
        need not be mended). None where it cannot be known.
    """
    path, omitted, doubt = Path(path), Omitted(), None
    report: dict[str, Any] = {"path": str(path), **dict.fromkeys(_UNKNOWN)}
    report |= {"wrong_rows": [], "problems": [], "mend": [], "notes": []}
    try:
        if canonical.is_canonical(path):
            faces = canonical.read(path, check=True)
            report["layout"], doubt = "canonical", doubt_of(path)
        else:
            if layout := recognise(path, dataset):
                report |= {"dataset": layout.dataset, "layout": layout.name}
                doubt = to_confirm(layout, dataset)
            asked = dataclasses.replace(options or Options(), skip_bad=True)
            faces = load(path, dataset, verify=False, options=asked, omitted=omitted)
    except (InputError, OSError) as error:
        reason = getattr(error, "reason", "") or (omitted.lines[0][0] if omitted.lines else "")
        remedy = REMEDIES.get(reason.split(":")[0]) or _remedy(path, report, str(error))
        lines = [line for _, line in omitted.lines if line not in str(error)]
        what = str(error).removesuffix(f"; {remedy}")
        return report | {"problems": [what], "mend": [remedy], "wrong_rows": lines}
    report |= judge(faces) | {"wrong_rows": [line for _, line in omitted.lines]}
    report["notes"] += _unread(path, faces)
    if doubt:
        report["problems"].append(doubt[0])
        report["mend"].append(doubt[1])
    return report


def doubt_of(path: Path) -> Fault | None:
    """Finds the fault of an import whose labels nobody confirmed; None of any other."""
    head = canonical.head(path)
    unsure = head.get("layout", "").endswith(UNCONFIRMED)
    return official.unconfirmed(head["name"]) if unsure else None


def judge(faces: FaceSet) -> dict[str, Any]:
    """Judges a set that could be read: all of ``doctor`` but its path, layout and wrong rows.

    What is wrong with the pictures of a set as it was published is a note.
    """
    group = copy_groups(faces.images)
    report, pictures = examine(faces, group), examine_pictures(faces, group)
    notes, faults = _notes(faces), pictures["faults"]
    if as_published(faces):
        notes += [problem for problem, _ in faults]
    else:  # blank pictures explain the rest
        report["problems"] = [problem for problem, _ in faults] + report["problems"]
        report["mend"] = [remedy for _, remedy in faults] + report["mend"]
    notes += pictures["notes"]
    return report | {"notes": notes, "blank": pictures["blank"], "mirrors": pictures["mirrors"]}


def examine(faces: FaceSet, group: np.ndarray | None = None) -> dict[str, Any]:
    """Makes the part of ``judge`` that audits keep; what is added here changes their form.

    Args:
        group: (N,) int64 from ``copies.copy_groups``, where it is at hand.
    """
    if group is None:
        group = copy_groups(faces.images)
    groups, about = duplicate_groups(faces, group), official.DATASETS.get(faces.name)
    known = faces.name in official.OFFICIAL_COUNTS and faces.num_classes == 7
    counted = known or faces.name in official.OFFICIAL_TOTALS
    report = {
        "dataset": faces.name,
        "about": dataclasses.asdict(about) if about else None,
        "images": len(faces),
        "counts": faces.counts().to_dict("index"),
        "official": official.official_counts(faces.name).to_dict("index") if known else None,
        "matches": official.difference(faces) is None if counted else None,
        "fingerprint": faces.fingerprint,
        "is_official": faces.fingerprint == official.FINGERPRINTS.get(faces.name),
        "votes": faces.votes is not None,
        "dropped": faces.dropped,
        "left_out": faces.left_out,
        "duplicates": count_duplicates(groups),
        "people": count_people(faces),
    }
    faults = _faults(faces, report) + conflict_faults(faces, group, groups)
    return report | {"problems": [x for x, _ in faults], "mend": [x for _, x in faults]}


def count_people(faces: FaceSet) -> dict[str, int] | None:
    """Counts people, images of them, and people in several splits; None if nobody is known."""
    if "person" not in faces.attributes or faces.attributes["person"].isna().all():
        return None
    person = faces.attributes["person"].to_numpy()
    splits = pd.Series(faces.split).groupby(person).nunique()
    images = int(pd.notna(person).sum())
    return {"people": len(splits), "images": images, "in_several_splits": int((splits > 1).sum())}


def _faults(faces: FaceSet, report: dict[str, Any]) -> list[Fault]:
    """Finds the faults of a set that could be read, but for its pictures."""
    faults = []
    for reason, n in faces.left_out.items():
        remedy = REMEDIES.get(reason.split(":")[0], "mend or remove these rows")
        what = f"{pluralise(n, 'row')} wrong: {reason}"
        faults.append((what, f"{remedy}; --skip-bad imports the rest"))
    missing = [split for split in SPLITS if not (faces.split == split).any()]
    if {"train", "test"} & set(missing):
        remedy = "train and test are both needed: add the missing folder or part"
        faults.append((f"no images in {' and '.join(missing)}", remedy))
    counts = official.Counts.of(faces)
    if counts and (wrong := counts.difference()):
        remedy = "files or rows are missing, moved or added: fetch the dataset again"
        if counts.word == "published":
            remedy = (
                "a part of the set is usable; if it should be whole, fetch it again, and check "
                "whose numbers the classes have"
            )
        faults.append((wrong, remedy))
    elif _is_copy(faces) and not _in_folders(faces):
        faults.append(COPY)
    if faces.name == "fer2013" and faces.votes is not None and not report["is_official"]:
        share, n = votes.agreement(np.array(faces.classes)[faces.labels], faces.votes)
        what = "votes are joined by row order, and these are not the images of FER2013 in its order"
        found = f"{100 * share:.1f} % of {n} images (62.8 % on FER2013)"
        remedy = "put fer2013new.csv beside the original fer2013.csv; no row of either may be moved"
        faults.append((f"{what}: the label is the most voted emotion of {found}", remedy))
    if report["people"] and (n := report["people"]["in_several_splits"]):
        who = "1 person is" if n == 1 else f"{n} people are"
        faults.append((f"{who} in more than one split", "split by person"))
    return faults


def _notes(faces: FaceSet) -> list[str]:
    """Says what is to be known of a set that could be read, and is no fault of it."""
    absent = faces.counts() == 0
    notes = [
        f"no images in {split} of {', '.join(row.index[row])}"
        for split, row in absent.iterrows()
        if row.any()
    ]
    differs, known = official.difference(faces), official.OFFICIAL_CONFLICTS.get(faces.name)
    if known and not differs:
        what = f"{pluralise(known, 'group')} of equal images with different labels"
        notes.append(f"{what}: so the set was published")
    if faces.name == "fer2013" and faces.votes is None:
        where = "put fer2013new.csv beside fer2013.csv; folders cannot be joined with them"
        notes.append(f"no FER+ votes: {where}")
    if faces.name == "fer2013" and not _in_folders(faces) and differs:
        where = "a set of your own has to lie in folders train|test/CLASS"
        notes.append(f"read as FER2013, as all such tables are; {where}")
    if _is_copy(faces) and _in_folders(faces):
        notes.append("; ".join(COPY))
    if faces.votes is not None and len(faces) < votes.ENOUGH and not _in_folders(faces):
        number = f"{len(faces)} of them, {votes.ENOUGH} are needed"
        notes.append(f"not judged whether the votes belong to the images: {number}")
    return notes


def _unread(path: Path, faces: FaceSet) -> list[str]:
    """Notes that more pictures lie at a path than its rows name, as in a folder of no split."""
    if canonical.is_canonical(path) or not path.is_dir():
        return []
    rows = len(faces) + sum(faces.left_out.values()) + sum(faces.dropped.values())
    files = path.rglob("*")
    lie = sum(x.suffix.lower() in PICTURES and not x.name.startswith(".") for x in files)
    if lie <= rows:
        return []
    unread = pluralise(lie - rows, "picture")
    return [f"{unread} of the {lie} in the folder not read: no row of the set"]


def _is_copy(faces: FaceSet) -> bool:
    """Tells whether a set has official counts, and in the official form other pixels."""
    mark = official.FINGERPRINTS.get(faces.name, faces.fingerprint)
    original_form = faces.num_classes == 7 and faces.images.shape[1:] == (1, 48, 48)
    return original_form and official.difference(faces) is None and faces.fingerprint != mark


def _in_folders(faces: FaceSet) -> bool:
    """Tells whether the images lay in folders of their class or split: their ids are paths."""
    return "/" in faces.ids[0]


def _remedy(path: Path, report: dict[str, Any], error: str) -> str:
    """Says what to do about a path that could not be read."""
    if not path.exists() and path.resolve() == root_of().resolve():
        layouts = "`fer-study data doctor --help` lists how they may lie"
        return f"make this folder and put the files of a dataset into it: {layouts}"
    if not path.exists():
        where = "or set $FER_STUDY_DATA to the folder above it"
        return f"give the file or folder that holds the data, {where}"
    if is_archive(path) or "is an archive" in error:
        return "unpack it, and give the folder"
    if report["layout"] is None:
        if "; " in (what := error.removeprefix(printable(path))):  # it says what to do
            return what.rsplit("; ", 1)[1]
        damaged = "a damaged file must be downloaded again"
        return f"give the folder that holds these files, unpacked; {damaged}"
    if re.search(r", (row|line) \d", error):
        return "download this file again, or mend or remove the row that is named"
    for layout in LAYOUTS:
        if (layout.dataset, layout.name) == (report["dataset"], report["layout"]):
            return f"download it again, whole: {layout.looks_like}"
    return "import it again"


def render(report: dict[str, Any]) -> str:
    """Writes the report of ``doctor`` as text."""
    lines = [f"path         {report['path']}"] if report.get("path") else []
    if report.get("layout"):
        lines += [f"layout       {report['dataset']}, {report['layout']}"]
    if report["images"] is not None:
        lines += _render_set(report)
    for problem, remedy in zip(report["problems"], report["mend"], strict=True):
        lines += [f"problem      {problem}", f"  to mend    {remedy}"]
    lines += [f"note         {note}" for note in report.get("notes", [])]
    if report.get("wrong_rows"):
        lines += ["", "the first wrong rows:", *[f"  {line}" for line in report["wrong_rows"]]]
    return "\n".join(lines + ([] if report["problems"] else ["no problems"]))


def _render_set(report: dict[str, Any]) -> list[str]:
    about, copies, people = report["about"], report["duplicates"], report["people"]
    lines = []
    if about:
        lines += [f"dataset      {about['title']}: {about['images']}"]
        lines += [f"{word:13}{about[word]}" for word in ("labels", "split", "licence")]
    if report["dataset"] == "folders":
        lines += ["name         folders; in an edition: data: {dataset: folders}"]
    lines += [f"images       {report['images']}", "", *_render_counts(report).splitlines(), ""]
    if report["matches"] is not None:
        expected = "as expected" if report["matches"] else "differ from those expected"
        lines += [f"counts       {expected}"]
    mark = " (official)" if report["is_official"] else ""
    lines += [f"fingerprint  {report['fingerprint']}{mark}"]
    lines += [f"FER+ votes   {'yes' if report['votes'] else 'no'}"]
    lines += [f"dropped      {pluralise(n, 'image')} of {x}" for x, n in report["dropped"].items()]
    groups, images = pluralise(copies["groups"], "group"), pluralise(copies["images"], "image")
    across = f"{copies['groups_across_splits']} across splits"
    elsewhere = copies["test_images_elsewhere"]
    lines += [f"duplicates   {groups} of equal images ({images}), {across}"]
    lines += [f"             {elsewhere} test images are also in train or validation"]
    if mirrors := report.get("mirrors"):
        images, elsewhere = pluralise(mirrors["images"], "image"), mirrors["test_images_elsewhere"]
        lines += [f"mirrored     {images} with a mirror image in the set"]
        lines += [f"             {elsewhere} test images have theirs in train or validation"]
    if people:
        number, known = people["people"], people["images"]
        several = f"{people['in_several_splits']} in several splits"
        lines += [f"people       {number} by the names of {known} images, {several}"]
        if others := report["images"] - known:
            images = pluralise(others, "image")
            lines += [f"             who is in the other {images} is not known"]
    return lines


def _render_counts(report: dict[str, Any]) -> str:
    """Writes counts by split and class; the official ones stand below, where there are any."""
    table = pd.DataFrame.from_dict(report["counts"], "index")
    columns = [*table.columns.drop("total"), "total"]
    table = table.loc[[split for split in SPLITS if split in table.index], columns]
    if report["official"]:
        word = "expected" if report["about"]["split"].startswith("ours") else "official"
        names = {split: f"  {word} {split}" for split in SPLITS}
        expected = pd.DataFrame.from_dict(report["official"], "index").rename(index=names)
        order = [x for split in report["official"] for x in (split, names[split])]
        table = pd.concat([table, expected]).reindex(order).fillna(0).astype(int)
    return table.to_string()
