"""As much of Ray's dashboard as `cluster=existing` speaks with; nothing runs behind it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Dashboard(ThreadingHTTPServer):
    """Keeps what it is sent; knows the jobs that a test has added."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.jobs: list[dict[str, Any]] = []
        self.packages: list[str] = []
        self.states: dict[str, str] = {}
        self.stopped: list[str] = []

    def add_job(self, name: str, status: str) -> None:
        """A job that is there already."""
        self.states[name] = status


class Answer(BaseHTTPRequestHandler):
    server: Dashboard

    def reply(self, content: Any, code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        if "/packages/" in self.path:
            self.reply({}, 404)  # not uploaded yet
        elif "/jobs" in self.path:
            known = self.server.states.items()
            self.reply([{"type": "SUBMISSION", "submission_id": n, "status": s, "entrypoint": "x"} for n, s in known])
        else:
            self.reply({"version": "4", "ray_version": "2.60.0", "ray_commit": ""})

    def do_PUT(self) -> None:
        self.read()
        self.server.packages.append(self.path)
        self.reply({})

    def do_POST(self) -> None:
        if self.path.endswith("/stop"):
            self.read()
            self.server.stopped.append(self.path.split("/")[-2])
            self.reply({"stopped": True})
            return
        self.server.jobs.append(json.loads(self.read()))
        self.reply({"job_id": "1", "submission_id": self.server.jobs[-1]["submission_id"]})

    def log_message(self, *_: Any) -> None: ...
