"""Open every page of the built book in Chromium with the network cut, and fail on anything that did not work.

Usage: python tests/browser_check.py book/_build/html --screenshots .build/screenshots [--files] [--search-for word]

Checked on each page, as wide as a screen and as a phone: no request failed or was answered with an error, no error on
the console, every image has content, every formula was set by MathJax, and nothing is wider than the page. Once: the
search finds pages. The pages come from a server on the loopback address, or with ``--files`` straight from the disk.
Playwright drives the Chromium or Chrome that is installed ($CHROMIUM names it); nothing is downloaded.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, TimeoutError, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
WIDTHS = {"": 1400, "-phone": 390}
"""What the name of a screenshot ends with -> width of the window in pixels."""

MATH_IS_COMING = "!document.querySelector('.math') || window.MathJax?.startup?.promise"
MATH_IS_SET = "window.MathJax?.startup?.promise?.then(() => true, () => false)"
FAULTS = """() => {
    const count = selector => document.querySelectorAll(selector).length;
    const [expected, set] = [count('.math'), count('.math mjx-container')];
    const refused = count('[data-mml-node=merror], mjx-merror');
    const formulas = `formulas: ${expected} on the page, ${set} set, ${refused} refused`;
    const empty = [...document.images].filter(image => image.complete && !image.naturalWidth);
    const [inside, width] = [document.documentElement.scrollWidth, window.innerWidth];
    return [
        ...(set < expected || refused ? [formulas] : []),
        ...empty.map(image => `image without content: ${image.getAttribute('src')}`),
        ...(inside > width ? [`${inside} pixels wide in a window of ${width}`] : []),
    ];
}"""


def find_browser() -> str:
    """Path of the installed Chromium or Chrome."""
    for name in filter(None, (os.environ.get("CHROMIUM"), *BROWSERS)):
        if path := shutil.which(name):
            return path
    sys.exit("No Chromium or Chrome was found. Install one, or name it in $CHROMIUM.")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serve(html: Path) -> Iterator[str]:
    """Serve a folder on the loopback address; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def watch(page: Page) -> list[str]:
    """Collect what goes wrong in a tab, from here on, in the list that is returned."""
    problems: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            problems.append(f"console {message.type}: {message.text} {message.location.get('url', '')}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left while it loaded
            problems.append(f"request failed ({request.failure}): {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            problems.append(f"answered {response.status}: {response.url}")

    page.on("console", console)
    page.on("requestfailed", failed)
    page.on("response", answered)
    page.on("pageerror", lambda error: problems.append(f"exception: {error.message.splitlines()[0]}"))
    return problems


def check_page(page: Page, url: str) -> list[str]:
    """Load a page, wait for its formulas and a moment of quiet; returns what is wrong with what it shows."""
    try:
        page.goto(url, wait_until="load", timeout=60_000)
        page.wait_for_function(MATH_IS_COMING, timeout=20_000)
        page.evaluate(MATH_IS_SET)
        slow = []
    except TimeoutError as error:
        slow = [error.message.splitlines()[0]]
    page.wait_for_timeout(300)
    return slow + page.evaluate(FAULTS)


def check_search(page: Page, word: str) -> list[str]:
    """Search for a word on the search page that is open."""
    page.goto(f"{page.url}?q={word}")
    hits = page.locator("#search-results li a")
    try:
        hits.first.wait_for(timeout=20_000)
    except TimeoutError:
        return [f"the search for {word!r} found nothing"]
    print(f"search for {word!r}: {hits.count()} results")
    return []


def check(browser: Browser, root: str, pages: list[str], word: str, screenshots: Path | None) -> int:
    """Check every page at every width; returns how many pages have problems."""
    tabs = {end: browser.new_page(viewport={"width": width, "height": 1000}) for end, width in WIDTHS.items()}
    watched = {end: watch(tab) for end, tab in tabs.items()}
    failed = 0
    for name in pages:
        problems: list[str] = []
        for end, tab in tabs.items():
            watched[end].clear()
            seen = check_page(tab, f"{root}/{name}")
            if name == "search.html" and not end:
                seen += check_search(tab, word)
            problems += [f"{WIDTHS[end]} px: {problem}" for problem in dict.fromkeys(watched[end] + seen)]
            if screenshots:
                picture = re.sub(r"[^\w.]+", "_", name.removesuffix(".html")) + end
                tab.screenshot(path=screenshots / f"{picture}.png")
        failed += bool(problems)
        print("FAILED" if problems else "ok    ", name, *problems, sep="\n        " if problems else " ")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", type=Path, help="folder of the built book")
    parser.add_argument("--screenshots", type=Path, help="folder for two pictures a page")
    parser.add_argument("--files", action="store_true", help="read the pages from the disk instead of a loopback server")
    parser.add_argument("--search-for", default="accuracy", metavar="WORD")
    arguments = parser.parse_args()
    html = arguments.html.resolve()
    pages = sorted(p.relative_to(html).as_posix() for p in html.rglob("*.html") if "_static" not in p.parts)
    if not pages:
        sys.exit(f"{arguments.html} holds no pages: build the book first")
    with serve(html) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[NO_NETWORK, "--disable-dev-shm-usage"])
        root = html.as_uri() if arguments.files else address
        failed = check(browser, root, pages, arguments.search_for, arguments.screenshots)
        browser.close()
    print(f"{len(pages)} pages, {failed} with problems")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
