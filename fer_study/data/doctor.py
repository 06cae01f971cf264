"""Doctor: what lies at a path, whether it is the official dataset, and how to mend it where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from . import LAYOUTS, load, official, recognise
from .faceset import FaceSet


def doctor(path: str | Path) -> dict[str, Any]:
    """Examines a file or folder; wrong input becomes a problem in the report, not an error.

    Returns:
        ``path``, ``dataset``, ``layout``, ``images``, ``counts`` and ``official`` (split -> class -> images), ``matches``
        (whether these two are equal), ``fingerprint``, ``is_official`` (whether it is that of the official set), ``votes``
        (whether there are FER+ votes), ``dropped`` (class -> images left out), ``duplicates`` (see ``duplicates``),
        ``problems`` and ``mend`` (one remedy for each problem). None where it cannot be known.
    """
    keys = ("dataset", "layout", "images", "counts", "official", "matches", "fingerprint", "is_official", "votes", "dropped")
    report: dict[str, Any] = {"path": str(path)} | dict.fromkeys((*keys, "duplicates")) | {"problems": [], "mend": []}
    try:
        layout = recognise(path)
        if layout:
            report |= {"dataset": layout.dataset, "layout": layout.name}
        faces = load(path, verify=False)
    except InputError as error:
        report["problems"].append(str(error))
        report["mend"].append(_remedy(Path(path), report["layout"]))
        return report
    known = official.OFFICIAL_COUNTS.get(faces.name)
    report |= {
        "images": len(faces),
        "counts": faces.counts().to_dict("index"),
        "official": official.official_counts(faces.name).to_dict("index") if known else None,
        "matches": official.difference(faces) is None if known else None,
        "fingerprint": faces.fingerprint,
        "is_official": faces.fingerprint == official.FINGERPRINTS.get(faces.name),
        "votes": faces.votes is not None,
        "dropped": faces.attributes.attrs.get("dropped", {}),
        "duplicates": duplicates(faces),
    }
    for problem, remedy in _differences(faces):
        report["problems"].append(problem)
        report["mend"].append(remedy)
    return report


def duplicates(faces: FaceSet) -> dict[str, int]:
    """Exact duplicates: equal pixels, whatever the labels.

    Returns:
        ``groups`` of equal images, ``images`` in them, ``groups_across_splits``, and ``test_images_elsewhere``, the test
        images that are also in train or validation.
    """
    table = pd.DataFrame({"image": pd.factorize(pd.Series([x.tobytes() for x in faces.images]))[0], "split": faces.split})
    groups = table.groupby("image")["split"]
    size, across = groups.size(), groups.nunique() > 1
    in_test = (table["split"] == "test") & table["image"].map(across)
    return {
        "groups": int((size > 1).sum()),
        "images": int(size[size > 1].sum()),
        "groups_across_splits": int(across.sum()),
        "test_images_elsewhere": int(in_test.sum()),
    }


def _remedy(path: Path, layout: str | None) -> str:
    if not path.exists():
        return "give the file or folder that holds the data, or set $FER_STUDY_DATA to the folder above it"
    if layout is None:
        return "unpack the download, and give the folder that holds these files; a damaged file must be downloaded again"
    return "download this file again, or mend or remove the row that is named"


def _differences(faces: FaceSet) -> list[tuple[str, str]]:
    """(problem, remedy) of a set that could be read."""
    found = []
    wrong = official.difference(faces)
    if wrong:
        found.append(
            (wrong, "files or rows are missing, moved or added: fetch the dataset again; verify=False loads it as it is")
        )
    elif faces.fingerprint != official.FINGERPRINTS.get(faces.name):
        problem = "the counts are official, the pixels or their order are not (a copy as JPEG, or in folders)"
        found.append((problem, "usable, but published records are found only for the original files, as parquet or CSV"))
    if faces.name == "fer2013" and faces.votes is None:
        found.append(
            ("no FER+ votes", "put fer2013new.csv beside fer2013.csv; folders of images cannot be joined with the votes")
        )
    return found


def render(report: dict[str, Any]) -> str:
    """The report of ``doctor`` as text."""
    lines = [f"path         {report['path']}"]
    if report["layout"] is None:
        lines += ["layout       not recognised; known layouts:"] + [
            f"  {x.dataset:<9}  {x.name}: {x.looks_like}" for x in LAYOUTS
        ]
    else:
        lines += [f"layout       {report['dataset']}, {report['layout']}"]
    if report["images"] is not None:
        lines += [f"images       {report['images']}", "", *_counts_table(report).splitlines(), ""]
        lines += [f"counts       {'as official' if report['matches'] else 'differ from the official ones'}"]
        lines += [
            f"fingerprint  {report['fingerprint']} ({'official' if report['is_official'] else 'not the official one'})"
        ]
        lines += [f"FER+ votes   {'yes' if report['votes'] else 'no'}"]
        lines += [f"dropped      {n} images of {name}" for name, n in report["dropped"].items()]
        d = report["duplicates"]
        groups = f"{d['groups']} groups of equal images ({d['images']} images), {d['groups_across_splits']} across splits"
        lines += [f"duplicates   {groups}"]
        lines += [f"             {d['test_images_elsewhere']} test images are also in train or validation"]
    for problem, remedy in zip(report["problems"], report["mend"], strict=True):
        lines += [f"problem      {problem}", f"  to mend    {remedy}"]
    return "\n".join(lines + ([] if report["problems"] else ["no problems"]))


def _counts_table(report: dict[str, Any]) -> str:
    """Counts by split and class; where they differ, the official ones stand below."""
    table = pd.DataFrame.from_dict(report["counts"], orient="index")
    if report["official"]:
        reference = pd.DataFrame.from_dict(report["official"], orient="index").rename(
            index=lambda split: f"  official {split}"
        )
        order = [x for split in report["official"] for x in (split, f"  official {split}")]
        table = pd.concat([table, reference]).reindex(order).fillna(0).astype(int)
    return table.to_string()
