"""Open every page of the built book in Chromium with the network cut, and fail on anything that did not work.

Usage: python tests/browser_check.py book/_build/html --screenshots .build/screenshots [--files] [--only PART] [--speed]

Checked on each page, as wide as a screen and as a phone: no request failed or was answered with an error, no error on
the console, every image has content, nothing is wider than the page, no table and no line of code is cut, no chart has
letters of less than 8 pixels, and axe finds nothing that keeps a reader out, in light and in dark colours, with all
that folds unfolded. All that a page loads
weighs less than 2 MB, uncompressed. Once: the search finds claims and numbers. The pages come from a server on the
loopback address, or with ``--files`` straight from the disk. ``--speed`` also times four pages on the profile of a
phone. Playwright drives the Chromium or Chrome that is installed ($CHROMIUM names it); nothing is downloaded.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import io
import math
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, TimeoutError, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
WIDTHS = {"": 1400, "-phone": 390}
"""What the name of a screenshot ends with -> width of the window in pixels."""
SEARCHED = ("hybrid-01", "71.7", "CBAM")
AXE_OPTIONS = {"resultTypes": ["violations"], "preload": False}
MOST_BYTES = 2_000_000
COMPRESSED = {".html", ".css", ".js", ".svg"}
"""Files that a server of pages such as GitHub's sends compressed."""
PHONE = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
TIMED = ("index.html", "fer2013/00_claims.html", "fer2013/03_model_comparison.html", "synthetic/twin.html")
MOST_SECONDS = 2.0

ALL_IS_LOADED = """async () => {
    for (const image of document.images) image.loading = 'eager';
    await Promise.allSettled([...document.images].map(image => image.decode()));
    await document.fonts.ready;
}"""
FAULTS = """() => {
    const empty = [...document.images].filter(image => !image.naturalWidth);
    const [inside, width] = [document.documentElement.scrollWidth, window.innerWidth];
    const scrolls = element => /auto|scroll/.test(getComputedStyle(element).overflowX);
    const cut = [...document.querySelectorAll('main :is(table, pre, figure, math)')].filter(element => {
        const right = element.getBoundingClientRect().left + element.scrollWidth;
        for (let box = element; box.matches('main *'); box = box.parentElement) {
            if (box.matches('details:not([open]), .scroll') || (scrolls(box) && width < 800)) return false;
            const wider = right > box.getBoundingClientRect().right + 2;
            if (wider && (scrolls(box) || box.matches('.cell, article'))) return true;
        }
        return false;
    });
    const start = element => element.textContent.trim().replace(/\\s+/g, ' ').slice(0, 60);
    return [
        ...empty.map(image => `image without content: ${image.getAttribute('src')}`),
        ...(inside > width ? [`${inside} pixels wide in a window of ${width}`] : []),
        ...cut.map(element => `${element.localName} is cut: ${start(element)}`),
    ];
}"""
CHARTS = """() => [...document.querySelectorAll('main img[src$=".svg"]')].filter(image => !image.closest('.sd-card'))
    .map(image => [image.getAttribute('src'), image.getBoundingClientRect().width, image.alt])"""
LETTERS = re.compile(r"scale\(([\d.]+) -")
"""Matplotlib draws letters as outlines, a hundred units to the size of the font."""
LEAST_LETTERS = 8
UNFOLD = "() => document.querySelectorAll('details').forEach(fold => fold.open = true)"
PAINT = "theme => { document.documentElement.dataset.theme = theme; }"
FIRST_PAINT = """() => new Promise(found => new PerformanceObserver(list => {
    const paint = list.getEntriesByName('first-contentful-paint')[0];
    if (paint) found([paint.startTime, performance.getEntriesByType('navigation')[0].loadEventEnd].map(ms => ms / 1000));
}).observe({type: 'paint', buffered: true}))"""


def find_browser() -> str:
    """Path of the installed Chromium or Chrome."""
    for name in filter(None, (os.environ.get("CHROMIUM"), *BROWSERS)):
        if path := shutil.which(name):
            return path
    sys.exit("No Chromium or Chrome was found. Install one, or name it in $CHROMIUM.")


class CompressingHandler(SimpleHTTPRequestHandler):
    """Sends text compressed, as the servers do on which books are published."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def send_head(self) -> io.BytesIO | io.BufferedReader | None:
        path = Path(self.translate_path(self.path))
        if path.suffix not in COMPRESSED or not path.is_file():
            return super().send_head()
        body = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)


@contextmanager
def serve(html: Path) -> Iterator[str]:
    """Serve a folder on the loopback address; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(CompressingHandler, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class Watch:
    """Collects what goes wrong in a tab, and what it loads, from here on."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        self.urls: set[str] = set()
        page.on("console", self._console)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        page.on("request", lambda request: self.urls.add(request.url))
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error.message.splitlines()[0]}"))

    def clear(self) -> None:
        self.problems.clear()
        self.urls.clear()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self.problems.append(f"console {message.type}: {message.text} {message.location.get('url', '')}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left while it loaded
            self.problems.append(f"request failed ({request.failure}): {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"answered {response.status}: {response.url}")


@functools.cache
def weight(file: Path) -> tuple[int, int]:
    """Bytes of a file, as it lies on the disk and as a server sends it."""
    size = file.stat().st_size
    return size, len(gzip.compress(file.read_bytes(), 6)) if file.suffix in COMPRESSED else size


def weigh(urls: set[str], root: str, html: Path) -> tuple[int, int]:
    """Bytes of all that a page loaded, uncompressed and compressed."""
    names = {unquote(urlsplit(url.removeprefix(root)).path).strip("/") for url in urls if url.startswith(root)}
    files = [html / name for name in names if (html / name).is_file()]
    return tuple(map(sum, zip(*map(weight, files), strict=True)))


def check_page(page: Page, url: str) -> list[str]:
    """Load a page with all its images; returns what is wrong with what it shows."""
    try:
        page.goto(url, wait_until="load", timeout=120_000)
    except TimeoutError as error:
        return [error.message.splitlines()[0]]
    page.evaluate(ALL_IS_LOADED)
    page.wait_for_timeout(300)
    return page.evaluate(FAULTS)


def check_access(page: Page, axe: Axe) -> list[str]:
    """Unfold all of a page and let axe look at it: at everything in light colours, at the colours in dark."""
    page.evaluate(UNFOLD)
    problems = []
    for theme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.evaluate(PAINT, theme)
        page.wait_for_timeout(400)  # colours change slowly
        for violation in axe.run(page, options={**AXE_OPTIONS, **rules}).response["violations"]:
            where = [node["html"].replace("\n", " ")[:150] for node in violation["nodes"]]
            problems.append(f"axe, {theme}: {violation['id']}, {len(where)} times: {where[0]}")
    page.evaluate(PAINT, "light")
    return problems


def check_letters(page: Page, folder: Path) -> list[str]:
    """Name the charts, all unfolded, whose smallest letters are too small to be read; cards show them as thumbnails."""
    small = []
    for source, width, words in page.evaluate(CHARTS):
        chart = (folder / source).read_text(encoding="utf-8")
        sizes = [100 * float(scale) for scale in LETTERS.findall(chart)]
        letters = min(sizes, default=math.inf) * width / float(chart.partition('viewBox="0 0 ')[2].split()[0])
        if letters < LEAST_LETTERS - 0.05:
            small.append(f"letters of {letters:.1f} px in a chart: {words[:60]}")
    return small


def check_search(page: Page, word: str) -> list[str]:
    """Search for a word on the search page that is open."""
    page.goto(f"{page.url.partition('?')[0]}?q={word}")
    hits = page.locator("#search-results li a")
    try:
        hits.first.wait_for(timeout=20_000)
    except TimeoutError:
        return [f"the search for {word!r} found nothing"]
    print(f"search for {word!r}: {hits.count()} results")
    return []


def check_speed(browser: Browser, address: str) -> list[str]:
    """Time four pages as a phone opens them: 1.6 Mbit/s, 150 ms until an answer begins, a processor four times slower."""
    slow = []
    for name in TIMED:
        page = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=2).new_page()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", PHONE)
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        page.goto(f"{address}/{name}", wait_until="load", timeout=120_000)
        page.wait_for_timeout(100)
        paint, load = page.evaluate(FIRST_PAINT)
        print(f"{name}: on a phone its first words show after {paint:.1f} s, all of the first screen after {load:.1f} s")
        if paint > MOST_SECONDS:
            slow.append(f"{name} shows nothing for {paint:.1f} s on a phone")
        page.context.close()
    return slow


def check(browser: Browser, root: str, html: Path, pages: list[str], screenshots: Path | None) -> int:
    """Check every page at every width; returns how many pages have problems."""
    tabs = {end: browser.new_page(viewport={"width": width, "height": 1000}) for end, width in WIDTHS.items()}
    watches = {end: Watch(tab) for end, tab in tabs.items()}
    axe = Axe()
    weights: dict[str, tuple[int, int]] = {}
    failed = 0
    for name in pages:
        problems: list[str] = []
        for end, tab in tabs.items():
            watches[end].clear()
            seen = check_page(tab, f"{root}/{name}")
            weights[name] = weigh(watches[end].urls, root, html)
            if screenshots:
                picture = re.sub(r"[^\w.]+", "_", name.removesuffix(".html")) + end
                tab.screenshot(path=screenshots / f"{picture}.png", full_page=True)
            seen += check_access(tab, axe)
            seen += check_letters(tab, (html / name).parent)
            if name == "search.html" and not end:
                seen += [fault for word in SEARCHED for fault in check_search(tab, word)]
            problems += [f"{WIDTHS[end]} px: {problem}" for problem in dict.fromkeys(watches[end].problems + seen)]
        if weights[name][0] > MOST_BYTES:
            problems.append(f"weighs {weights[name][0] / 1e6:.2f} MB")
        failed += bool(problems)
        print("FAILED" if problems else "ok    ", name, *problems, sep="\n        " if problems else " ", flush=True)
    print("The heaviest pages, in MB (and compressed, as a server sends them):")
    for name in sorted(weights, key=weights.__getitem__, reverse=True)[:10]:
        print("{:7.2f} ({:.2f})".format(*(bytes_ / 1e6 for bytes_ in weights[name])), name)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", type=Path, help="folder of the built book")
    parser.add_argument("--screenshots", type=Path, help="folder for two pictures a page")
    parser.add_argument("--files", action="store_true", help="read the pages from the disk instead of a loopback server")
    parser.add_argument("--only", default="", metavar="PART", help="check pages whose name contains this")
    parser.add_argument("--speed", action="store_true", help="time four pages on the profile of a phone")
    arguments = parser.parse_args()
    html = arguments.html.resolve()
    pages = sorted(p.relative_to(html).as_posix() for p in html.rglob("*.html") if "_static" not in p.parts)
    pages = [name for name in pages if arguments.only in name]
    if not pages:
        sys.exit(f"{arguments.html} holds no such pages: build the book first")
    with serve(html) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[NO_NETWORK, "--disable-dev-shm-usage"])
        slow = check_speed(browser, address) if arguments.speed else []
        root = html.as_uri() if arguments.files else address
        failed = check(browser, root, html, pages, arguments.screenshots)
        browser.close()
    print(*slow, f"{len(pages)} pages, {failed} with problems", sep="\n")
    return 1 if failed or slow else 0


if __name__ == "__main__":
    sys.exit(main())
