"""The demo says what ``predict`` says, to its own page alone."""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import re
import socket
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fer_study import cli, inference
from fer_study.inference import demo, predicting
from fer_study.settings.errors import InputError
from test_inference import in_a_picture


def ask(server: demo.Demo, body: bytes | None, path: str = "/predict", **headers: str | None) -> tuple[int, bytes, dict]:
    """Send a request; ``headers`` with _ for -, None leaves one out."""
    host = f"127.0.0.1:{server.server_port}"
    sent = {"Host": host, "Origin": f"http://{host}", "Content-Type": "image/png"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
    if body is not None:
        sent.setdefault("Content-Length", str(len(body)))
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()
    return reply.status, reply.read(), dict(reply.getheaders())


def encoded(picture: np.ndarray | Image.Image, kind: str = "PNG", **given: object) -> bytes:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(written := io.BytesIO(), kind, **given)
    return written.getvalue()


def test_it_says_what_predict_says(serve, model):
    picture = in_a_picture(3, 8)
    status, body, _ = ask(serve(), encoded(picture))
    said, table = json.loads(body), inference.predict(picture, model)
    assert status == 200 and said["size"] == [picture.shape[1], picture.shape[0]] and said["problem"] == ""
    assert len(said["faces"]) == len(table) == 2 and said["map"] is None and said["milliseconds"] > 0
    for face, (_, row) in zip(said["faces"], table.iterrows(), strict=True):
        assert face["box"] == [row[side] for side in ("x", "y", "width", "height")]
        assert face["predicted"] == row["predicted"] and face["set"] == list(row["set"])
        assert face["probabilities"] == {name: row[name] for name in model.settings.classes}


def test_the_map_is_that_of_predict(serve, model, tmp_path):
    Image.fromarray(in_a_picture(3)).save(tmp_path / "one.png")
    inference.predict(tmp_path / "one.png", model, cam=tmp_path / "maps")
    _, body, _ = ask(serve(), (tmp_path / "one.png").read_bytes(), "/predict?cam=1")
    kind, _, drawn = json.loads(body)["map"].partition(",")
    assert kind == "data:image/png;base64"
    ours = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn))))
    assert np.array_equal(ours, np.asarray(Image.open(tmp_path / "maps" / "one.png.png")))


def test_pictures_of_every_kind(serve):
    server, drawn = serve(), Image.fromarray(in_a_picture(3))
    status, body, _ = ask(server, encoded(np.full((200, 200), 128, np.uint8)))
    assert (status, json.loads(body)["problem"], json.loads(body)["faces"]) == (200, "no face found", [])
    frames = {"save_all": True, "append_images": [drawn.rotate(90)]}
    turned = Image.Exif()
    turned[274] = 6  # a quarter turn to the right
    for kind, given in {
        "GIF": frames, "TIFF": {}, "JPEG": {}, "WEBP": {"lossless": True},
    }.items():  # fmt: skip
        picture = drawn.convert("CMYK") if kind == "TIFF" else drawn
        status, body, _ = ask(server, encoded(picture, kind, **given))
        assert status == 200 and len(json.loads(body)["faces"]) == 1, kind
    sideways = encoded(drawn.convert("RGB").transpose(Image.Transpose.ROTATE_90), "JPEG", exif=turned, quality=95)
    assert len(json.loads(ask(server, sideways)[1])["faces"]) == 1
    deep = Image.fromarray(in_a_picture(3).astype(np.uint16) * 257)
    assert len(json.loads(ask(server, encoded(deep))[1])["faces"]) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no image|cannot"),
        (b"name,age\n", "no image|cannot"),
        (encoded(Image.new("1", (10_000, 10_001))), "pixels|large"),
        (encoded(np.zeros((90, 90), np.uint8))[:60], "cannot|damaged|truncated|no image"),
    ],
)
def test_what_is_no_picture_is_said_in_a_line(serve, body, words):
    server = serve()
    status, said, _ = ask(server, body)
    assert status == 422 and re.search(words, json.loads(said)["problem"]) and "\n" not in json.loads(said)["problem"]
    assert ask(server, encoded(in_a_picture(3)))[0] == 200, "the next one is answered"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"Host": "rebound.example:80"}),
        (403, {"Origin": "http://elsewhere.example"}),
        (403, {"Origin": "null"}),
        (415, {"Content_Type": "text/plain"}),
        (415, {"Content_Type": None}),
        (411, {"Content_Length": None}),
        (411, {"Content_Length": "-1"}),
        (413, {"Content_Length": str(10**9)}),
    ],
)
def test_requests_of_others_are_refused(serve, status, headers):
    found, body, _ = ask(serve(), encoded(in_a_picture(3)), **headers)
    assert found == status and json.loads(body)["problem"]


def test_only_the_page_and_its_question_are_answered(serve):
    server = serve()
    for body, path in ((None, "/predict"), (None, "/etc/passwd"), (b"", "/"), (b"", "/other")):
        assert ask(server, body, path)[0] == 404


def test_the_map_of_a_large_picture_is_sent_smaller(serve):
    large = Image.fromarray(in_a_picture(3)).resize((3000, 3000))
    said = json.loads(ask(serve(), encoded(large), "/predict?cam=1")[1])
    sent = Image.open(io.BytesIO(base64.b64decode(said["map"].partition(",")[2])))
    assert said["size"] == [3000, 3000] and sent.size == (demo.MAP_SIDE, demo.MAP_SIDE)


def test_what_goes_wrong_is_one_line_and_the_next_is_answered(serve, monkeypatch, caplog, capfd):
    server, picture = serve(), encoded(in_a_picture(3))
    with monkeypatch.context() as patch:
        patch.setattr(predicting, "find_faces", lambda *_: 1 / 0)
        status, body, _ = ask(server, picture)
    assert status == 500 and json.loads(body) == {"problem": "ZeroDivisionError: division by zero"}
    assert [record.getMessage() for record in caplog.records] == ["a picture failed: ZeroDivisionError: division by zero"]
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\nContent-Type: image/png\r\n"
    sent = f"{head}Content-Length: {len(picture)}\r\n\r\n".encode() + picture
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as cut:
        cut.sendall(sent[:-9])
        cut.shutdown(socket.SHUT_WR)
        assert b"only a part of the picture was sent" in cut.makefile("rb").read()
    with socket.create_connection(("127.0.0.1", server.server_port)) as gone:  # a page that is closed meanwhile
        gone.sendall(sent)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask(server, picture)[0] == 200 and len(caplog.records) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_its_page_loads_nothing_from_elsewhere(serve, model):
    server = serve()
    status, page, headers = ask(server, None, "/")
    text = page.decode()
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    assert not re.search(r"(src|href)=\"(?!data:)", text) and "http" not in text
    assert json.dumps(list(model.settings.classes)) in text and "NONCE" not in text and '"ABOUT"' not in text
    nonces = {re.search("nonce-([^']+)", ask(server, None, "/")[2]["Content-Security-Policy"])[1] for _ in range(3)}
    assert len(nonces) == 3 and ask(server, None, "/", Host="rebound.example")[0] == 403


def test_from_elsewhere_a_token_is_asked_for(serve, monkeypatch):
    monkeypatch.setattr(demo, "is_loopback", lambda _: False)
    server = serve()
    picture, right = encoded(in_a_picture(3)), f"/predict?token={server.token}"
    assert len(server.token) >= 32 and server.address.endswith(f"/?token={server.token}")
    for path in ("/predict", "/predict?token=", f"/predict?token={server.token[:-1]}", "/predict?token=%C3%A4"):
        assert ask(server, picture, path)[0] == 403
    assert ask(server, None, "/")[0] == 403 and ask(server, None, f"/?token={server.token}")[0] == 200
    assert ask(server, picture, right)[0] == 200
    assert ask(server, picture, right, Host="name:1", Origin="http://name:2")[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_addresses_of_this_machine(host):
    assert demo.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.2", "name.example", ""])
def test_addresses_that_others_reach(host):
    assert not demo.is_loopback(host)


@pytest.mark.parametrize(("host", "port", "address"), [
    ("0.0.0.0", 8000, "http://desk:8000/?token="), ("127.0.0.1", 80, "http://127.0.0.1/"), ("::1", 8000, "http://[::1]:8000/"),
])  # fmt: skip
def test_its_address_is_one_that_a_browser_understands(model, monkeypatch, host, port, address):
    """Nothing listens here: of all addresses the name of the machine is shown; browsers leave port 80 out."""

    def bind(self: demo.Demo) -> None:
        self.server_port = port

    monkeypatch.setattr(demo.socket, "gethostname", lambda: "desk")
    monkeypatch.setattr(demo.Demo, "server_bind", bind)
    monkeypatch.setattr(demo.Demo, "server_activate", lambda self: None)
    with demo.Demo(model, host, port) as server:
        assert server.address.removesuffix(server.token) == address
        assert address.split("/")[2] in server.hosts


def test_a_port_that_is_taken_and_a_model_that_is_missing(serve, model_folder, caplog):
    port = str(serve().server_port)
    assert cli.main(["demo", "--model", str(model_folder), "--port", port, "--no-browser"]) == 2
    assert f"cannot listen at 127.0.0.1, port {port}" in caplog.text
    assert cli.main(["demo", "--model", str(model_folder), "--port", "99999", "--no-browser"]) == 2
    assert cli.main(["demo", "--model", "nowhere", "--no-browser"]) == 2 and "nowhere: no folder of a model" in caplog.text
    with pytest.raises(InputError, match=r"cannot listen at 203\.0\.113\.1"):
        serve(host="203.0.113.1")


def test_the_command_serves_until_it_is_ended(model, model_folder):
    command = [sys.executable, "-c", "from fer_study.cli import main; raise SystemExit(main())"]
    process = subprocess.Popen(
        [*command, "demo", "--model", str(model_folder), "--no-browser"], stderr=subprocess.PIPE, text=True
    )
    first = process.stderr.readline()
    port = int(re.search(r"http://127.0.0.1:(\d+)/", first)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    process.terminate()  # taken for Ctrl-C, which a process in the background may have been told to ignore
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and said.strip() == "ended"


def test_a_network_without_maps_says_so(serve, monkeypatch):
    def none(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(predicting, "grad_cam", none)
    status, body, _ = ask(serve(), encoded(in_a_picture(3)), "/predict?cam=1")
    assert status == 422 and "no Grad-CAM map" in json.loads(body)["problem"]


def test_pictures_are_not_logged_and_not_kept(serve, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG, logger="fer_study")
    ask(serve(), encoded(in_a_picture(3)), "/predict?cam=1")
    assert caplog.text == "" and list(tmp_path.iterdir()) == []
