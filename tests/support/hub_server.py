"""A stand-in for the Hugging Face hub on loopback: one data set repository, as `huggingface_hub`'s file system asks."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

REPO = "datasets/clinic/visits"


class Hub(ThreadingHTTPServer):
    """Serves ``files``, content by path, of ``hf://datasets/clinic/visits``; ``asked`` are the paths of requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def list_tree(self, folder: str, recursive: bool) -> list[dict[str, object]]:
        """The entries below a folder, as the hub's tree has them."""
        found: dict[str, dict[str, object]] = {}
        start = f"{folder}/" if folder else ""
        for path, data in self.files.items():
            if not path.startswith(start):
                continue
            first, *below = path.removeprefix(start).split("/")
            if not below or recursive:
                found[path] = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            if below:
                found[start + first] = {"type": "directory", "path": start + first, "size": 0, "oid": "0" * 40}
        return list(found.values())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        """Repository, tree and content."""
        parts = urlsplit(self.path)
        path = unquote(parts.path).strip("/")
        self.server.asked.append(path)
        if path.startswith(f"{REPO}/resolve/main/"):
            self._send_content(self.server.files.get(path.removeprefix(f"{REPO}/resolve/main/")))
        elif path.startswith(f"api/{REPO}/tree/main"):
            folder = path.removeprefix(f"api/{REPO}/tree/main").strip("/")
            found = self.server.list_tree(folder, "recursive=true" in parts.query.lower())
            self._send(200, found) if found else self._send(404, {}, {"X-Error-Code": "EntryNotFound"})
        elif path in (f"api/{REPO}", f"api/{REPO}/revision/main"):
            self._send(200, {"id": REPO.partition("/")[2], "sha": "0" * 40, "siblings": []})
        else:
            self._send(404, {}, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _send_content(self, data: bytes | None) -> None:
        if data is None:
            self._send(404, {}, {"X-Error-Code": "EntryNotFound"})
            return
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        piece = data[int(first) : int(last) + 1 if last else None]
        span = {"Content-Range": f"bytes {first}-{int(first) + len(piece) - 1}/{len(data)}"}
        self._send(206 if "Range" in self.headers else 200, piece, span)

    def _send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """The hub, and `huggingface_hub` sent to it meanwhile, as ``HF_ENDPOINT`` does at its import."""
    from huggingface_hub import HfFileSystem, constants

    with Hub() as hub, pytest.MonkeyPatch.context() as patch:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{hub.server_port}"
        patch.setattr(constants, "ENDPOINT", endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
        HfFileSystem.clear_instance_cache()
        yield hub
        HfFileSystem.clear_instance_cache()
        hub.shutdown()
