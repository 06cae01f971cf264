"""A page in the browser that shows what a trained network says of the faces before a camera.

The page is one file, and it talks to this process alone. Pictures are looked at in memory and
forgotten.
"""

from __future__ import annotations

import base64
import hmac
import io
import ipaddress
import json
import logging
import os
import secrets
import socket
import socketserver
import sys
import threading
import time
import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from ..data.readers.pictures import decode, upright
from ..settings.errors import InputError
from .model_folder import TrainedModel
from .pictures import Seen
from .predicting import NO_FACE, PLACE, look_at, with_maps

log = logging.getLogger(__name__)

LARGEST = 20 * 2**20
"""Bytes that a picture may have."""
LEVEL = 0.9
"""How often the sets of the page hold the label; see ``predict``."""
MAP_SIDE = 1280
"""Longer side, in pixels at most, of a picture with maps that is sent back."""
WHERE = "the picture"
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src data: blob:; "
    "media-src blob:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}


class Refused(Exception):
    """A request that is not answered: its status, and a line that says why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        self.status, self.why = status, why


class Map:
    """Keeps the picture with maps over its faces, in place of a file (see ``predicting.Maps``)."""

    picture: Image.Image | None = None

    def keep(self, *given: object) -> None:
        """Make it; arguments as of ``with_maps``."""
        self.picture = with_maps(*given)

    def address(self) -> str | None:
        """Give it as a PNG in an address that starts with ``data:``; None: there is no face."""
        if self.picture is None:
            return None
        self.picture.thumbnail((MAP_SIDE, MAP_SIDE))
        self.picture.save(written := io.BytesIO(), "PNG", compress_level=1)
        return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"


def answer(model: TrainedModel, picture: bytes, cam: bool) -> dict[str, object]:
    """Say what ``predict`` says of a picture.

    Returns:
        ``size``: width and height of the upright picture; ``faces``: for each, ``box``,
        ``predicted``, ``probabilities`` and ``set``; ``problem``: empty, or that no face was found;
        ``map``: a picture in an address; ``milliseconds`` that all this took.

    Raises:
        BadRow: it cannot be read, or the network has no map.
    """
    start, kept = time.perf_counter(), Map()
    seen = Seen(WHERE, upright(decode(picture, WHERE)))
    rows = look_at(seen, model, None, False, model.threshold(LEVEL), kept.keep if cam else None)
    faces = [row for row in rows if row["problem"] != NO_FACE]
    return {
        "size": seen.picture.size,
        "faces": [
            {
                "box": [int(row[side]) for side in PLACE[3:]],
                "predicted": str(row["predicted"]),
                "probabilities": {name: float(row[name]) for name in model.settings.classes},
                "set": [str(name) for name in row["set"]],
            }
            for row in faces
        ],
        "problem": "" if faces else NO_FACE,
        "map": kept.address(),
        "milliseconds": round(1000 * (time.perf_counter() - start), 1),
    }


class Demo(ThreadingHTTPServer):
    """Serves the page of a model, and looks at one picture at a time.

    Args:
        host: address to listen at; from another than a loopback one, every request has to bring the
            ``token``, which is part of ``address``.
        port: 0 takes a free one.

    Raises:
        InputError: nothing can listen there.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere, two could then listen at one port

    def __init__(self, model: TrainedModel, host: str = "127.0.0.1", port: int = 0) -> None:
        self.model, self.one_at_a_time = model, threading.Lock()
        self.token = "" if is_loopback(host) else secrets.token_urlsafe(24)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            what = getattr(error, "strerror", None) or error
            raise InputError(f"cannot listen at {host}, port {port}: {what}") from None
        self.name = socket.gethostname() if host in ("", "0.0.0.0", "::") else host
        self.name = f"[{self.name}]" if ":" in self.name else self.name
        port = "" if self.server_port == 80 else f":{self.server_port}"  # browsers leave it out
        self.hosts = {f"{name}{port}" for name in (self.name, "localhost")}
        query = f"?token={self.token}" if self.token else ""
        self.address = f"http://{self.name}{port}/{query}"

    def server_bind(self) -> None:
        """Take the port. ``HTTPServer`` would ask the network for the name of the address."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say in a line what went wrong with a request; a page that was closed is nothing wrong."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("a request failed: %s: %s", type(error).__name__, error)

    def page(self, nonce: str) -> bytes:
        """Fill the page in: the model's name and classes."""
        settings = self.model.settings
        about = {
            "name": settings.name,
            "classes": settings.classes,
            "token": self.token,
            "largest": LARGEST,
        }
        text = files(__package__).joinpath("demo.html").read_text(encoding="utf-8")
        filled = json.dumps(about).replace("<", "\\u003c")
        return text.replace("NONCE", nonce).replace('"ABOUT"', filled).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers a request of the page, and refuses those of other pages."""

    server: Demo
    timeout = 30

    def do_GET(self) -> None:
        """Send the page."""
        try:
            self.check("/")
            nonce = secrets.token_urlsafe(12)
            self.send(HTTPStatus.OK, self.server.page(nonce), "text/html; charset=utf-8", nonce)
        except Refused as refusal:
            self.refuse(refusal)

    def do_POST(self) -> None:
        """Send what is seen in a picture."""
        try:
            self.check("/predict")
            said = self.answer(self.picture())
            self.send(HTTPStatus.OK, json.dumps(said).encode(), "application/json")
        except Refused as refusal:
            self.refuse(refusal)

    def answer(self, picture: bytes) -> dict[str, object]:
        """Look at a picture, once all that came before are done; see the function ``answer``.

        Raises:
            Refused: it cannot be read, or the network fails at it.
        """
        try:
            with self.server.one_at_a_time:
                return answer(self.server.model, picture, self.query().get("cam") == "1")
        except InputError as error:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        except Exception as error:  # the page says it, and the next picture is answered
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            log.error("a picture failed: %s", why)
            raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, why) from None

    def check(self, path: str) -> None:
        """Refuse what does not come from the page: another name of this machine (a page elsewhere
        may have it point here), another page, or no token; and any path but one.

        Raises:
            Refused: so.
        """
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if not self.server.token and host not in self.server.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, "the demo has another address")
        if origin is not None and origin != f"http://{host}":
            raise Refused(HTTPStatus.FORBIDDEN, "asked by another page")
        given = self.query().get("token", "").encode()
        if not hmac.compare_digest(given, self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "the token is missing or wrong")
        if urlsplit(self.path).path != path:
            raise Refused(HTTPStatus.NOT_FOUND, "there is one page, /")

    def query(self) -> dict[str, str]:
        """Read what stands behind the question mark."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def picture(self) -> bytes:
        """Read the picture that was sent. A type that forms cannot send keeps other pages out.

        Raises:
            Refused: it is none, or too large.
        """
        length = self.headers.get("Content-Length", "")
        if not self.headers.get("Content-Type", "").startswith("image/"):
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not sent as a picture")
        if not length.isascii() or not length.isdigit():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length of the picture is missing")
        if int(length) > LARGEST:
            allowed = f"allowed: {LARGEST // 2**20} MB"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"too large, {allowed}")
        if len(picture := self.rfile.read(int(length))) < int(length):
            raise Refused(HTTPStatus.BAD_REQUEST, "only a part of the picture was sent")
        return picture

    def refuse(self, refusal: Refused) -> None:
        """Send why."""
        self.close_connection = True  # what else was sent is not read
        self.send(refusal.status, json.dumps({"problem": refusal.why}).encode(), "application/json")

    def send(self, status: HTTPStatus, content: bytes, kind: str, nonce: str = "") -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value.format(nonce=nonce))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing of single requests."""


def is_loopback(host: str) -> bool:
    """Say whether an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(model: TrainedModel, host: str, port: int, browser: bool) -> None:
    """Serve the page until somebody stops it.

    Args:
        browser: open it there.

    Raises:
        InputError: see ``Demo``.
    """
    with Demo(model, host, port) as server:
        log.info("the demo of %s is at %s; Ctrl-C ends it", model.settings.name, server.address)
        if server.token:
            log.warning("other machines can reach it, with that address only; it is not encrypted")
        if browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            log.info("ended")
