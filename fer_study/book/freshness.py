"""Whether a page is up to date: what it was made from, as a hash that the page carries."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .. import store
from ..jobs.editions import dataset_config, editions, folder_of, load_edition, parameters
from ..jobs.job import is_done
from ..settings.checkout import PACKAGE
from ..settings.experiment import PARAMS
from ..settings.recipes import load_recipe

AUDITED = "01_dataset_audit"
"""The stage whose audits other pages take rows from: those of their own edition, and of
``fer2013``."""


def content_hash(notebook: Path, given: dict, folder: Path = PARAMS) -> str:
    """What a page depends on, and nothing else: its notebook, its parameters ``given``, what these
    name (edition, datasets), the recipes, the module with the claims, and the published records.
    Line ends and comments in YAML do not count.

    Raises:
        InputError: the parameters name what is not there.
    """
    code = [p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".csv")]
    code += folder.glob("claims.yaml")
    texts = [text_of(path) for path in (notebook, *sorted(code))]
    facts = [given, settings(given, folder)]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for text in texts:
        digest.update(hashlib.sha256(text).digest())
    for done in sorted(store.published_root().glob("[!.]*/done")):
        digest.update(done.parent.name.encode() + text_of(done))
    return digest.hexdigest()[:16]


def text_of(path: Path) -> bytes:
    """A text with the line ends of Unix, which a checkout may have changed."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def settings(given: dict, folder: Path = PARAMS) -> dict:
    """What a page reads in ``params/``, as it is read, with the fingerprints of the data; of the
    recipes all, for the ledger tells by them which records a claim is about."""
    worlds = {
        name: load_edition(name, folder)
        for name in {given.get("edition"), "fer2013"}
        if name in editions(folder)
    }
    own, datasets = worlds.get(given.get("edition")), given.get("others", [])
    if "sources" in given:
        datasets = [*datasets, *given["sources"], *given["targets"]]
    recipes = sorted(path.stem for path in (folder / "recipes").glob("*.yaml"))
    return {
        "editions": {name: world.model_dump() for name, world in worlds.items()},
        "audits": {
            name: parameters(name, AUDITED, folder)
            for name in worlds
            if (folder_of(name, folder) / f"{AUDITED}.yaml").is_file()
        },
        "datasets": {name: dataset_config(name, own).fingerprint for name in datasets},
        "recipes": {name: load_recipe(name, folder / "recipes").model_dump() for name in recipes},
    }


def stamp(page: Path) -> dict:
    """What a page says of itself: the hash of its content and the records that it lacked; nothing
    where it is not there."""
    if not page.is_file():
        return {}
    return json.loads(page.read_text(encoding="utf-8"))["metadata"].get("fer_study", {})


def is_current(page: Path, content: str) -> bool:
    """The page exists, was made from this content, and no record has come since that it lacked."""
    made = stamp(page)
    return made.get("content") == content and not any(map(is_done, made.get("missing", [])))
