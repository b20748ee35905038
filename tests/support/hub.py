"""A hub of models on loopback, as far as its real client speaks with one; it can refuse, break off and count."""

import hashlib
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves the files of ``folder`` as `owner/tiny`, branch `main`.

    ``refusal`` is answered in place of everything: status and `X-Error-Code`. Without ``token`` everybody may read.
    ``cut`` names a file of which only the first half comes, and ``held`` one whose second half waits for ``release``.
    """

    def __init__(self, folder: Path, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.token = token
        self.refusal: tuple[int, str] | None = None
        self.cut: str | None = None
        self.held: str | None = None
        self.asked_held, self.release = threading.Event(), threading.Event()
        self.seen: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def count_gets(self, file: str) -> int:
        """How often the content of ``file`` was asked for."""
        return sum(method == "GET" and path.endswith(f"/{file}") for method, path in self.seen)

    def __enter__(self) -> "Hub":
        # The interval is what closing it takes.
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        hub = self.server
        hub.seen.append((self.command, path))
        hub.tokens.add(self.headers.get("Authorization"))
        if hub.refusal:
            return self.refuse(*hub.refusal)
        if hub.token is not None and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.refuse(401, "GatedRepo")
        if not path.removeprefix("/api/models").startswith("/owner/tiny"):
            return self.refuse(404, "RepoNotFound")
        if "/revision/" in path:
            if path.rpartition("/")[2] not in ("main", COMMIT):
                return self.refuse(404, "RevisionNotFound")
            return self.send_json({"id": "owner/tiny", "sha": COMMIT, "siblings": []})
        if "/tree/" in path:
            return self.send_json([_describe_file(name, content) for name, content in hub.files.items()])
        return self.send_file(path.rpartition("/")[2])

    def send_file(self, name: str) -> None:
        whole = self.server.files[name]
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        content, half = whole[first:], len(whole) // 2
        self.send_response(206 if first else 200)
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if name == self.server.cut:
            self.wfile.write(content[: max(0, half - first)])
            self.close_connection = True
            return
        if name == self.server.held:
            self.wfile.write(content[:half])
            self.server.asked_held.set()
            self.server.release.wait(60)
            content = content[half:]
        with suppress(OSError):  # a client that was killed meanwhile
            self.wfile.write(content)

    def send_json(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, word: str) -> None:
        self.send_response(status)
        if word:
            self.send_header("X-Error-Code", word)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def _describe_file(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
