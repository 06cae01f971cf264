"""The page of the demo works in a browser without a network, with a camera and without one."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_study.inference import demo
from test_inference import in_a_picture

api = pytest.importorskip("playwright.sync_api")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright")

from browser_check import AXE_OPTIONS, BROWSERS, FAULTS, NO_NETWORK  # noqa: E402


def film(file: Path, persons: list[int]) -> None:
    """A film of drawn faces for a camera that is none: y4m, 640 x 480."""
    with file.open("wb") as out:
        out.write(b"YUV4MPEG2 W640 H480 F5:1 Ip A1:1 C420jpeg\n")
        for person in persons:
            frame = np.full((480, 640), 90, np.uint8)
            frame[120:360, 200:440] = in_a_picture(person)
            out.write(b"FRAME\n" + frame.tobytes() + bytes([128]) * (640 * 480 // 2))


@pytest.fixture
def browser(tmp_path):
    """Start Chromium with a film in place of a camera, and no way to any other machine."""
    found = filter(None, map(shutil.which, filter(None, (os.environ.get("CHROMIUM"), *BROWSERS))))
    if not (program := next(found, None)):
        pytest.skip("no Chromium here")
    film(tmp_path / "film.y4m", [3, 3, 8, 8])
    with api.sync_playwright() as playwright:
        fake = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={tmp_path / 'film.y4m'}"]

        def launch(camera: bool = True) -> object:
            allowed = ["--use-fake-ui-for-media-stream"] if camera else ["--deny-permission-prompts"]
            flags = [NO_NETWORK, "--disable-dev-shm-usage", *fake, *allowed]
            return playwright.chromium.launch(executable_path=program, args=flags)

        yield launch


STARTED = "document.getElementById('camera').textContent.startsWith('Stop')"
SAID = "document.getElementById('said').textContent"


def opened(browser: object, server: demo.Demo) -> tuple[object, list[str]]:
    """The page, and what goes wrong on it: errors, and requests to anywhere else."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    here = (server.address.partition("?")[0], "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(here) else wrong.append(request.url))
    page.goto(server.address)
    return page, wrong


def until(page: object, script: str) -> None:
    """Wait until a script is true; the page's own policy lets no script in, so it is asked from outside."""
    end = time.monotonic() + 60
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        page.wait_for_timeout(100)


SCREENSHOTS = Path(__file__).parents[1] / ".build" / "demo"


def test_the_page_with_a_camera_and_with_a_picture(serve, browser, tmp_path):
    axe = axe_api.Axe()
    page, wrong = opened(started := browser(), serve())
    asked, most = set(), [0]

    def ask(request: object) -> None:
        asked.add(request)
        most[0] = max(most[0], len(asked))

    page.on("request", ask)
    page.on("requestfinished", lambda request: asked.discard(request))
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_selector("#faces table", timeout=60_000)
    widths = "[...document.querySelectorAll('.bar')].map(bar => bar.style.width).join()"
    before = page.evaluate(widths)
    until(page, f"![{before!r}, ''].includes({widths})")  # the film changes, and so do the bars
    assert re.match(r"\d+ ms for this picture", page.inner_text("#time"))
    assert most == [1], "frames are dropped and never wait"
    page.get_by_role("button", name="Stop the camera").click()
    Image.fromarray(in_a_picture(3, 8)).save(tmp_path / "two.png")
    page.set_input_files("#file", tmp_path / "two.png")
    until(page, "document.querySelectorAll('#faces table').length === 2")
    plain = page.evaluate("document.getElementById('seen').toDataURL()")
    page.get_by_label("show where the network looks").check()
    until(page, f"document.getElementById('seen').toDataURL() !== {plain!r}")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    assert page.get_by_role("status").inner_text().startswith("2 faces: ")
    for width, theme in ((1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme)
        page.screenshot(path=SCREENSHOTS / f"{width}-{theme}.png", full_page=True)
        assert page.evaluate(FAULTS) == [] and wrong == []
        faults = axe.run(page, options=AXE_OPTIONS).response["violations"]
        assert [fault["id"] for fault in faults] == [], (width, theme)
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "text.png")
    until(page, "!document.querySelector('#faces table')")
    assert "picture" in page.get_by_role("status").inner_text()
    started.close()


def test_a_camera_that_is_refused_leaves_the_pictures(serve, browser, tmp_path):
    page, wrong = opened(started := browser(camera=False), serve())
    page.get_by_role("button", name="Start the camera").click()
    until(page, "document.getElementById('said').textContent.includes('Pictures still work')")
    Image.fromarray(in_a_picture(3)).save(tmp_path / "one.png")
    page.set_input_files("#file", tmp_path / "one.png")
    page.wait_for_selector("#faces table", timeout=60_000)
    assert wrong == []
    started.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotReadableError", "The camera is busy."),
        ("NotFoundError", "There is no camera."),
        ("AbortError", "The camera cannot be used (why)."),
    ],
)
def test_a_camera_that_is_busy_or_missing_is_said_in_a_line(serve, browser, name, words):
    page, wrong = opened(started := browser(), serve())
    fails = f"async () => {{ throw new DOMException('why', '{name}'); }}"
    page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {fails}; }}")
    page.get_by_role("button", name="Start the camera").click()
    until(page, f"{SAID} === {words + ' Pictures still work.'!r}")
    assert wrong == [] and not page.evaluate(STARTED)
    started.close()


def test_a_picture_that_is_chosen_while_the_camera_is_asked_for_ends_it(serve, browser, tmp_path):
    page, wrong = opened(started := browser(), serve())
    page.evaluate("""() => {
        const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);
        media.getUserMedia = async wanted => {
            const stream = await open(wanted);
            await new Promise(done => { window.allow = done; });
            window.track = stream.getTracks()[0];
            return stream;
        };
    }""")
    page.get_by_role("button", name="Start the camera").click()
    until(page, "!!window.allow")
    Image.fromarray(in_a_picture(3)).save(tmp_path / "one.png")
    page.set_input_files("#file", tmp_path / "one.png")
    page.evaluate("() => window.allow()")
    until(page, "window.track?.readyState === 'ended'")
    page.wait_for_selector("#faces table", timeout=60_000)
    assert not page.evaluate(STARTED) and wrong == []
    started.close()


def test_the_page_works_by_keyboard_and_refuses_a_large_file(serve, browser, tmp_path):
    page, wrong = opened(started := browser(), serve())
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["camera", "file", "cam"]
    page.keyboard.press("Space")
    assert page.get_by_label("show where the network looks").is_checked()
    page.locator("#camera").press("Enter")
    until(page, STARTED)
    page.locator("#camera").press("Enter")
    until(page, f"!{STARTED}")
    (tmp_path / "large.png").write_bytes(bytes(demo.LARGEST + 1))
    page.set_input_files("#file", tmp_path / "large.png")
    until(page, f"{SAID} === 'The file is too large, allowed: 20 MB.'")
    assert wrong == []
    started.close()


def test_a_page_from_elsewhere_says_where_pictures_go(serve, browser, monkeypatch):
    monkeypatch.setattr(demo, "is_loopback", lambda _: False)
    page, wrong = opened(started := browser(), serve())
    assert "Pictures are sent there, not encrypted" in page.inner_text("#where") and wrong == []
    started.close()
