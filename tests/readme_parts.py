"""Write the parts of README.md that follow from elsewhere: badges, answers, pictures. Usage: make readme

Between ``<!-- NAME -->`` and ``<!-- end NAME -->``: badges from pyproject.toml, answers from the ledger. The pictures are
those that the committed page of the claims hands to other pages.
"""

from __future__ import annotations

import base64
import re
import tomllib
from pathlib import Path

import nbformat

from fer_study.analysis import ledger, verdicts

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ".github/pictures"
QUOTED = {"claims.svg": "fer2013_claims_figure", "reported.svg": "fer2013_claims_reported_figure"}
ANSWERS = {
    "ladder-04": "The best of four small networks, with CBAM and fixed kernels, has this accuracy",
    "ladder-03": "The one with shortcuts has this accuracy, and so comes last of the four",
    "ladder-14": "None of the four reaches this accuracy",
    "ladder-09": "They confuse sad and neutral most often",
    "emonext-28": "Networks are better than hand-made features with an SVM",
    "hybrid-26": "This balanced accuracy, of a network of 77 M parameters, is the state of the art",
    "emonext-19": "A spatial transformer aligns faces, so that no other tool has to",
    "emonext-27": "An accuracy this far below a paper's comes from class imbalance",
    "data-12": "The makers of FER2013 removed duplicates",
}
"""Claim of the ledger -> what it says, in words that need no other."""
GROUPS = {
    verdicts.HOLDS: "hold", verdicts.SOME_HOLDS: "hold in part", verdicts.ANSWERED: "are answered",
    verdicts.BOTH: "hold in one part and fail in another",
    verdicts.SOME_FAILS: "fail in part", verdicts.FAILS: "do not hold",
    verdicts.UNDECIDED: "are undecided", verdicts.OPEN: "are open",
}  # fmt: skip


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def badge(label: str, value: str) -> str:
    """A badge as SVG, which asks nobody's server."""
    left, right = 6 * len(label) + 14, 6 * len(value) + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20">'
        f"<title>{label}: {value}</title>"
        f'<rect width="{left}" height="20" fill="#444"/><rect x="{left}" width="{right}" height="20" fill="#1f5f99"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="7" y="14" textLength="{left - 14}">{label}</text>'
        f'<text x="{left + 7}" y="14" textLength="{right - 14}">{value}</text></g></svg>\n'
    )


def badges(settings: dict) -> str:
    """Badges in Markdown; those that ask GitHub only where the repository has an address there."""
    shown = [
        f"[![Licence]({PICTURES}/licence.svg)](#licence-and-citation)",
        f"[![Python]({PICTURES}/python.svg)](pyproject.toml)",
    ]
    address = settings.get("urls", {}).get("Repository", "").removesuffix(".git").rstrip("/")
    if found := re.fullmatch(r"https://github\.com/([^/]+)/([^/]+)", address):
        flows = f"{address}/actions/workflows"
        book = f"https://{found[1].lower()}.github.io/{found[2]}/"
        shown = [
            f"[![Tests]({flows}/tests.yml/badge.svg)]({flows}/tests.yml)",
            f"[![Book]({flows}/book.yml/badge.svg)]({book})",
            *shown,
        ]
    return "\n".join(shown)


def answers() -> str:
    """How the claims fare, in a sentence, and the chosen ones in a table."""
    found = ledger.ledger()
    groups = [verdict.group for verdict in found]
    counts = [f"{groups.count(group)} {GROUPS[group]}" for group in verdicts.GROUPS if group in groups]
    rows = ledger.table([verdict for verdict in found if verdict.claim in ANSWERS]).set_index("id")
    lines = ["| claim | what it says | reported | measured | verdict |", "|---|---|---|---|---|"]
    for claim, words in ANSWERS.items():
        row = rows.loc[claim]
        measured = f"{row['measured']} ({row['of']})" if row["of"] else row["measured"]
        lines.append(f"| {claim} | {words} | {row['reported']} | {measured} | **{row['verdict']}** |")
    told = f"Of {len(found)} claims, {', '.join(counts[:-1])} and {counts[-1]}. Some of those that are decided:"
    return "\n".join([told, "", *lines])


def quoted_pictures() -> dict[str, str]:
    """The pictures that the page of the claims hands on: name of a file -> SVG."""
    page = nbformat.read(ROOT / "book" / "fer2013" / "00_claims.ipynb", as_version=4)
    outputs = [output for cell in page.cells for output in cell.get("outputs", ())]
    html = {o.metadata.scrapbook.name: "".join(o.data.values()) for o in outputs if "scrapbook" in o.get("metadata", {})}
    coded = {file: re.search(r"svg\+xml;base64,([^\"]+)", html[name])[1] for file, name in QUOTED.items()}
    return {file: base64.b64decode(text).decode() for file, text in coded.items()}


def readme(text: str, settings: dict) -> str:
    """The text of README.md with its parts written anew."""
    for name, part in {"badges": badges(settings), "answers": answers()}.items():
        block = f"<!-- {name} -->\n{part}\n<!-- end {name} -->"
        text, times = re.subn(rf"<!-- {name} -->.*?<!-- end {name} -->", lambda _, new=block: new, text, flags=re.DOTALL)
        assert times == 1, f"README.md has the marker {name!r} {times} times"
    return text


def pictures(settings: dict) -> dict[str, str]:
    """All pictures of README.md: name of a file -> SVG."""
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", settings["requires-python"]).groups()
    versions = " | ".join(f"3.{minor}" for minor in range(int(low), int(high)))
    licence = settings["license"].replace(" AND ", " | ")
    return {"licence.svg": badge("licence", licence), "python.svg": badge("python", versions)} | quoted_pictures()


def main() -> None:
    settings = project()
    for name, svg in pictures(settings).items():
        (ROOT / PICTURES / name).write_text(svg, encoding="utf-8")
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8"), settings), encoding="utf-8")


if __name__ == "__main__":
    main()
