"""Open every page of the built book in Chromium with the network cut, and fail on anything that did not work.

Usage: python tests/browser_check.py book/_build/html --screenshots .build/screenshots [--files] [--search-for word]

Checked on each page: no request failed or was answered with an error, no error on the console, every image has content, and
every formula was set by MathJax. Once: the search finds pages. The pages come from a server on the loopback address, or with
``--files`` straight from the disk.
Needs Chromium or Chrome ($CHROMIUM names it); speaks the DevTools protocol itself, so no driver is needed.
"""

from __future__ import annotations

import argparse
import base64
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import websocket

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Formulas of the page, those that MathJax has set, and those that it refused.
MATH = """(() => ({
    expected: document.querySelectorAll('.math').length,
    set: document.querySelectorAll('.math mjx-container').length,
    refused: document.querySelectorAll('[data-mml-node=merror], mjx-merror').length,
}))()"""
WAIT_FOR_MATH = """new Promise(resolve => {
    setTimeout(() => resolve(false), 20000);
    const poll = () => {
        const ready = window.MathJax && MathJax.startup && MathJax.startup.promise;
        if (ready) ready.then(() => resolve(true), () => resolve(false));
        else if (document.querySelectorAll('.math').length === 0) resolve(false);
        else setTimeout(poll, 50);
    };
    poll();
})"""
SEARCH_HITS = "document.querySelectorAll('#search-results li a').length"
BROKEN_IMAGES = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.getAttribute('src'))"


class Page:
    """One tab, spoken to over its DevTools socket; collects what goes wrong in it."""

    def __init__(self, address: str) -> None:
        self.socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self.number = 0
        self.problems: list[str] = []
        self.requests: dict[str, str] = {}
        self.loaded = False
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Network.setCacheDisabled", cacheDisabled=True)

    def call(self, method: str, **parameters: object) -> dict:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._event(message)

    def _event(self, message: dict) -> None:
        method, values = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests[values["requestId"]] = values["request"]["url"]
        elif method == "Network.responseReceived" and values["response"]["status"] >= 400:
            self.problems.append(f"answered {values['response']['status']}: {values['response']['url']}")
        elif method == "Network.loadingFailed" and not values.get("canceled"):
            self.problems.append(f"request failed ({values['errorText']}): {self.requests.get(values['requestId'], '?')}")
        elif method == "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details["text"]
            self.problems.append(f"exception: {text.splitlines()[0]}")
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
            text = " ".join(str(a.get("value", a.get("description", ""))) for a in values["args"])
            self.problems.append(f"console error: {text}")
        elif method == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.problems.append(f"log error: {values['entry']['text']} {values['entry'].get('url', '')}")
        elif method == "Page.loadEventFired":
            self.loaded = True

    def evaluate(self, expression: str) -> object:
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    def open(self, url: str, settle: float = 0.3) -> None:
        """Load a page and wait for its load event, its formulas and a moment of quiet."""
        self.problems, self.requests, self.loaded = [], {}, False
        self.call("Page.navigate", url=url)
        limit = time.monotonic() + 60
        while not self.loaded and time.monotonic() < limit:
            self.evaluate("1")
            time.sleep(0.02)
        if not self.loaded:
            self.problems.append("the page did not load within 60 s")
        self.evaluate(WAIT_FOR_MATH)
        time.sleep(settle)
        self.evaluate("1")

    def screenshot(self, path: Path) -> None:
        answer = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))


def find_browser() -> str:
    for name in filter(None, (os.environ.get("CHROMIUM"), *BROWSERS)):
        if path := shutil.which(name):
            return path
    sys.exit("No Chromium or Chrome was found. Install one, or name it in $CHROMIUM.")


def start_browser(profile: str) -> tuple[subprocess.Popen, str]:
    """Start a headless browser that resolves no host name; returns it with the DevTools address of its tab."""
    browser = subprocess.Popen(
        [
            find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1400,1000",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    port_file = Path(profile, "DevToolsActivePort")
    limit = time.monotonic() + 60
    while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
        if browser.poll() is not None or time.monotonic() > limit:
            browser.kill()
            sys.exit("The browser did not start.")
        time.sleep(0.1)
    port, path = port_file.read_text().splitlines()
    control = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=60, suppress_origin=True)
    control.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
    while (answer := json.loads(control.recv())).get("id") != 1:
        pass
    control.close()
    tab = next(t["targetId"] for t in answer["result"]["targetInfos"] if t["type"] == "page")
    return browser, f"ws://127.0.0.1:{port}/devtools/page/{tab}"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def check_page(page: Page, url: str) -> list[str]:
    page.open(url)
    problems = list(page.problems)
    math = page.evaluate(MATH)
    if math["set"] < math["expected"] or math["refused"]:
        problems.append(f"formulas: {math['expected']} on the page, {math['set']} set, {math['refused']} refused")
    problems += [f"image without content: {source}" for source in page.evaluate(BROKEN_IMAGES)]
    return problems


def check_search(page: Page, root: str, word: str) -> list[str]:
    page.open(f"{root}/search.html?q={word}")
    limit = time.monotonic() + 20
    while not page.evaluate(SEARCH_HITS) and time.monotonic() < limit:
        time.sleep(0.2)
    hits = page.evaluate(SEARCH_HITS)
    print(f"search for {word!r}: {hits} results")
    return page.problems + ([] if hits else [f"the search for {word!r} found nothing"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", type=Path, help="folder of the built book")
    parser.add_argument("--screenshots", type=Path, help="folder for one picture a page")
    parser.add_argument("--files", action="store_true", help="read the pages from the disk instead of a loopback server")
    parser.add_argument("--search-for", default="accuracy", metavar="WORD")
    arguments = parser.parse_args()
    html = arguments.html.resolve()
    pages = sorted(p.relative_to(html).as_posix() for p in html.rglob("*.html") if "_static" not in p.parts)
    if not pages:
        sys.exit(f"{arguments.html} holds no pages: build the book first")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = html.as_uri() if arguments.files else f"http://127.0.0.1:{server.server_port}"
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)

    failed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser, address = start_browser(profile)
        try:
            tab = Page(address)
            for name in pages:
                problems = check_page(tab, f"{root}/{name}")
                if name == "search.html":
                    problems += check_search(tab, root, arguments.search_for)
                if arguments.screenshots:
                    tab.screenshot(arguments.screenshots / (re.sub(r"[^\w.]+", "_", name.removesuffix(".html")) + ".png"))
                failed += bool(problems)
                print("FAILED" if problems else "ok    ", name)
                for problem in dict.fromkeys(problems):
                    print("       ", problem)
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
    print(f"{len(pages)} pages, {failed} with problems")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
