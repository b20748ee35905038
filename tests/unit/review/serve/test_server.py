"""The page's server: who may ask it, what it answers, over real HTTP on loopback."""

import asyncio
import errno
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mics_ray.review.marks.chain import list_targets
from mics_ray.review.marks.mark import MOST_COMMENT
from mics_ray.review.marks.store import MarkStore, open_store
from mics_ray.review.serve.server import MOST_BYTES, make_app
from mics_ray.review.serve.session import ReviewSession
from tests.support.run_folders import row

TOKEN = "t0ken-of-the-test"
MARK = {"case_id": "one", "step": 1, "verdict": "right", "comment": "", "answers": 0}


@dataclass
class Served:
    """A server in a thread, and the marks behind it."""

    port: int
    store: MarkStore

    def ask(self, path: str, body: Any = None, token: str = TOKEN, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON (or text) and headers of an answer; as our own page asks, but for ``headers``."""
        host = f"127.0.0.1:{self.port}"
        sent = {"Host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent = {"Origin": f"http://{host}", "Content-Type": "application/json"} | sent
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", f"/{token}/{path}", data, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text, dict(answer.headers)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<p>page</p>")
    (folder / "assets/app.js").write_text("1")
    (tmp_path / "secret").write_text("secret")
    (folder / "assets/link").symlink_to(tmp_path / "secret")
    with open_store(tmp_path, "ann") as store, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        targets = {name: list_targets(row(name)) for name in ("one", "two")}
        app = make_app(ReviewSession(store, targets), folder, TOKEN, port)
        loop, ready = asyncio.new_event_loop(), threading.Event()

        async def start() -> web.AppRunner:
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            ready.set()
            return runner

        def work() -> None:
            runner = loop.run_until_complete(start())
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())

        thread = threading.Thread(target=work)
        thread.start()
        assert ready.wait(30)
        yield Served(port, store)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_the_page_and_its_files_and_nothing_else_is_there(served: Served) -> None:
    status, text, headers = served.ask("")
    assert (status, text) == (200, "<p>page</p>")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert served.ask("assets/app.js")[0] == 200
    for path in (
        "assets/../../secret",
        "assets/%2e%2e/%2e%2e/secret",
        "assets/link",
        "assets/",
        "notes.sqlite",
        "api/x",
    ):
        status, text, headers = served.ask(path)
        assert status in (403, 404), path
        assert "secret" not in str(text)
        assert headers["Cache-Control"] == "no-store"


def test_who_was_not_given_the_address_is_refused(served: Served) -> None:
    """Without the token; by another host's name (DNS rebinding); from another site's page."""
    own = f"http://127.0.0.1:{served.port}"
    assert served.ask("", token="")[0] == 403
    assert served.ask("", token="other")[0] == 403
    assert served.ask("", token=TOKEN + "x")[0] == 403
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", f"127.0.0.2:{served.port}", ""):
        assert served.ask("", Host=host)[0] == 403, host
        assert served.ask("api/mark", MARK, Host=host, Origin=f"http://{host}")[0] in (400, 403), host
    assert served.ask("", Host=f"localhost:{served.port}")[0] == 200
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{served.port}", f"{own}.evil.example", ""):
        assert served.ask("api/mark", MARK, Origin=origin)[0] == 403, origin
    assert served.ask("api/mark", MARK, Sec_Fetch_Site="cross-site")[0] == 403
    assert served.ask("api/mark", MARK, Sec_Fetch_Site="same-site")[0] == 403
    # What a form of another site may send without being asked for leave.
    assert served.ask("api/mark", MARK, Content_Type="text/plain")[0] == 415
    assert served.ask("api/undo")[0] == 405
    assert served.store.book.marks == []
    assert served.ask("api/mark", MARK, Origin=own, Sec_Fetch_Site="same-origin")[0] == 200


def test_marks_are_kept_answered_and_undone(served: Served) -> None:
    status, told, _ = served.ask("api/mark", MARK | {"comment": "ä\n\ud800"})
    assert status == 200
    assert told["marks"] == {"one": [{"step": 1, "verdict": "right", "comment": "ä\n\ufffd", "version": 1}]}
    assert (told["done"], told["total"], told["next"]) == (0, 2, "two")
    assert told["undo"] == {"number": 1, "case_id": "one", "step": 1}
    # From another window, which has not seen it.
    status, told, _ = served.ask("api/mark", MARK | {"verdict": "wrong"})
    assert status == 409
    assert told["marks"]["one"][0]["verdict"] == "right"
    assert served.ask("api/undo", {"number": 1})[0] == 200
    assert served.ask("api/undo", {"number": 1})[0] == 200
    assert served.ask("api/marks?case=one")[1]["marks"]["one"][0]["verdict"] is None
    version = 2
    for step, verdict in ((1, "right"), (2, "right"), (3, "unsure"), (None, "accept")):
        asked = {"case_id": "one", "step": step, "verdict": verdict, "answers": version if step == 1 else 0}
        assert served.ask("api/mark", {"comment": ""} | asked)[0] == 200
    assert served.ask("api/marks")[1]["done"] == 1
    assert served.ask("api/marks")[1]["next"] == "two"


@pytest.mark.parametrize(
    "changed",
    [
        {"case_id": "three"}, {"case_id": None}, {"step": 4}, {"step": 0}, {"step": True}, {"step": "1"}, {"step": 1.5},
        {"verdict": "accept"}, {"verdict": 1}, {"verdict": ["right"]}, {"comment": None}, {"comment": 1},
        {"answers": None},
        {"answers": True}, {"answers": -1}, {"comment": "x" * (MOST_COMMENT + 1)},
    ],
)  # fmt: skip
def test_what_no_page_of_ours_asks_changes_nothing(served: Served, changed: dict[str, Any]) -> None:
    status, told, _ = served.ask("api/mark", MARK | changed)
    assert status == 400
    assert told["error"]
    assert served.store.book.marks == []


def test_other_bodies_are_refused(served: Served) -> None:
    assert served.ask("api/mark", b"[1]")[0] == 400
    assert served.ask("api/mark", b"{")[0] == 400
    assert served.ask("api/mark", b"\xff\xfe")[0] == 400
    assert served.ask("api/mark", b" " * (MOST_BYTES + 1))[0] == 413
    for number in (0, -1, 1, True, None, "1", 10**30):
        assert served.ask("api/undo", {"number": number})[0] == 400
    assert served.ask("api/marks?case=nobody")[0] == 400


def test_a_disk_that_is_full_is_said_and_then_it_goes_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        status, told, _ = served.ask("api/mark", MARK)
    assert (status, told["error"]) == (507, "the disk does not take the mark: No space left on device")
    assert served.ask("api/marks?case=one")[1]["marks"] == {"one": []}
    assert served.ask("api/mark", MARK)[0] == 200
