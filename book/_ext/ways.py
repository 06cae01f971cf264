"""Give every page its ways in and out: buttons, version and date, how to cite (for Sphinx).

The address of the repository is set in one place, ``[project.urls] Repository`` of
``pyproject.toml``. While it is not set there is no button and no clone command.
"""

from __future__ import annotations

import datetime
import html
import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import quote

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from fer_study.settings.checkout import STUDY

BRANCH = "main"
LAUNCHERS = {
    "Colab": "https://colab.research.google.com/github/{name}/blob/{branch}/{file}",
    "Binder": "https://mybinder.org/v2/gh/{name}/{branch}?urlpath=lab/tree/{file}",
}
"""Both open a notebook of a public repository on GitHub; neither was tried (see ``reproduce``)."""
LEAST = 60
"""A paragraph of fewer letters does not describe its page."""
LONGEST = 160
"""What search engines show of a description, in letters."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx; a config of another book may set the address itself."""
    project = tomllib.loads((STUDY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository", "").removesuffix(".git").rstrip("/")
    version = f"Version {project['version']}, {last_change()}"
    app.add_config_value("repository", address, "env", [str])
    app.add_config_value("study_version", version, "html", [str])
    app.connect("config-inited", fill_texts)
    app.connect("html-page-context", complete_page, priority=600)  # after the theme's own buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def last_change() -> str:
    """Date of the last commit, of today where there is no git: ``2026-11-29``."""
    command = ["git", "-C", str(STUDY), "log", "-1", "--format=%cs"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return datetime.date.today().isoformat()
    return done.stdout.strip()


def fill_texts(app: Sphinx, config: Config) -> None:
    """Write the texts that pages quote: ``{{ clone }}``, ``{{ colab }}``, ``{{ cite }}``."""
    citation = yaml.safe_load((STUDY / "CITATION.cff").read_text(encoding="utf-8"))
    config.myst_substitutions |= {
        "clone": clone_command(config.repository),
        "colab": colab_cell(config.repository),
        "cite": cite(citation, config.repository),
    }


def clone_command(repository: str) -> str:
    """How to get the study, as a block of MyST."""
    if not repository:
        return (
            "No public address of the repository is set yet: you have its folder from whoever gave "
            "you this book. Run the commands there."
        )
    folder = repository.rpartition("/")[2]
    return f"```bash\ngit clone {repository}\ncd {folder}\n```"


def colab_cell(repository: str) -> str:
    """What the first cell on Colab has to be, as a block of MyST."""
    if not repository:
        return "The cell will stand here once the repository has a public address."
    return f'```python\n%pip install --quiet "fer-study[book] @ git+{repository}"\n```'


def cite(citation: dict, repository: str) -> str:
    """The citation of ``CITATION.cff`` as text and as BibTeX, each a block with a copy button."""
    authors = " and ".join(author["name"] for author in citation["authors"])
    title, version, day = citation["title"], citation["version"], str(citation["date-released"])
    text = f"{authors} ({day[:4]}). {title}, version {version}. {repository}".strip()
    entry = {
        "author": f"{{{authors}}}", "title": title, "version": version,
        "year": day[:4], "date": day, "url": repository,
    }  # fmt: skip
    lines = [f"  {name} = {{{value}}}," for name, value in entry.items() if value]
    bibtex = "\n".join(["@software{fer_study,", *lines, "}"])
    return f"```text\n{text}\n```\n\n```bibtex\n{bibtex}\n```"


def complete_page(
    app: Sphinx, page: str, template: str, context: dict, document: nodes.document | None
) -> None:
    """Give a page its buttons, its description and its footer."""
    cite, changes, ethics = (
        context["pathto"](name).removesuffix("#") for name in ("cite", "changelog", "ethics")
    )
    context["theme_extra_footer"] = (
        f"{app.config.study_version} · <a href='{cite}'>How to cite</a> · "
        f"<a href='{changes}'>Changes</a> · Text "
        f"<a href='{ethics}#licence-of-this-work'>CC BY 4.0</a>, code BSD 3-Clause"
    )
    if document is None:
        return
    address = app.config.repository
    file = source_of(page, Path(app.env.doc2path(page)).suffix)
    context["header_buttons"][:0] = buttons(address, file, page)
    context["metatags"] += metatags(context["title"], describe(document), address)


def source_of(page: str, suffix: str) -> str:
    """Say which file of the repository a page is made from; of an executed one its notebook."""
    if suffix != ".ipynb":
        return f"book/{page}{suffix}"
    return f"notebooks/{page if page.startswith('labs/') else page.rpartition('/')[2]}.ipynb"


def buttons(address: str, file: str, page: str) -> list[dict]:
    """Menus of the theme: the repository and, of a notebook, where it can be opened.

    Nothing without an address; of one that is not on GitHub the repository alone.
    """
    if not address:
        return []
    source = {"Repository": ("fas fa-code-branch", address)}
    launch = {}
    if name := on_github(address):
        source["Edit this page"] = ("fas fa-pencil-alt", f"{address}/edit/{BRANCH}/{file}")
        title = quote(f"Page {page}: ")
        source["Open an issue"] = ("fas fa-lightbulb", f"{address}/issues/new?title={title}")
        if file.endswith(".ipynb"):
            launch = {
                label: ("fas fa-play", link.format(name=name, branch=BRANCH, file=file))
                for label, link in LAUNCHERS.items()
            }
    groups = {
        "The repository": ("fas fa-code-branch", source),
        "Run this notebook": ("fas fa-rocket", launch),
    }
    return [
        {
            "type": "group",
            "tooltip": tooltip,
            "icon": icon,
            "label": "ways-buttons",
            "buttons": [
                {"type": "link", "text": text, "icon": icon, "url": url}
                for text, (icon, url) in links.items()
            ],
        }
        for tooltip, (icon, links) in groups.items()
        if links
    ]


def on_github(address: str) -> str:
    """``owner/name`` of a repository on GitHub, else nothing."""
    found = re.fullmatch(r"https://github\.com/([^/]+/[^/]+)", address)
    return found[1] if found else ""


def book_address(address: str) -> str:
    """Where ``.github/workflows/book.yml`` puts the book of a repository on GitHub."""
    owner, _, name = on_github(address).partition("/")
    return f"https://{owner.lower()}.github.io/{name}" if name else ""


def describe(document: nodes.document) -> str:
    """The first sentences of a page, as long as a search engine shows them."""
    texts = (" ".join(part.astext().split()) for part in document.findall(nodes.paragraph))
    text = next((text for text in texts if len(text) >= LEAST), "").removeprefix("Question. ")
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0] + " ..."


def metatags(title: str, description: str, address: str) -> str:
    """What search engines and previews show. A preview asks for the whole address of its image, so
    it has one only where the book has an address."""
    tags = [("name", "description", description), ("property", "og:description", description)]
    tags.append(("property", "og:title", re.sub("<[^>]+>", "", title)))
    if book := book_address(address):
        tags.append(("property", "og:image", f"{book}/_static/preview.png"))
    return "".join(
        f'\n    <meta {kind}="{name}" content="{html.escape(text)}" />'
        for kind, name, text in tags
        if text
    )
