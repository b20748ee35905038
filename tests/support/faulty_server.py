"""A chat-completions server on loopback that misbehaves by script: the paid API's stand-in."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.listener import Listener

Behaviour = Callable[["Seen", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """One request as it arrived."""

    at: float
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def completion(text: str | None = "fine", finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def head(status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(length), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer with ``body`` (bytes as they are, anything else as JSON)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def act(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, len(data), headers) + data)

    return act


def error(status: int, code: str | None = None, message: str = "no", **headers: str) -> Behaviour:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer({"error": {"message": message, "type": None, "code": code}}, status, fields)


async def reset(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Reset the connection (RST) before an answer."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_in_body(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(head(200, 1000) + b'{"choices": [')
    await writer.drain()
    await asyncio.sleep(0.02)
    await reset(seen, writer)


async def hang(seen: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def drip(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """A byte every 20 ms for ever: no read timeout ends this."""
    writer.write(head(200, 10**6))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def huge(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """A gigabyte of blanks."""
    writer.write(head(200, 2**30))
    for _ in range(2**14):
        writer.write(b" " * 2**16)
        await writer.drain()


@dataclass
class FaultyServer(Listener):
    """Requests are served by ``script`` in order of arrival, then by ``otherwise``; ``seen`` keeps them all.

    With ``tls`` it speaks https. ``host`` is the name that its address has.
    """

    script: list[Behaviour] = field(default_factory=list)
    otherwise: Behaviour = field(default_factory=lambda: answer(completion()))
    seen: list[Seen] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """The base URL of its entries."""
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}/v1"

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            seen = await self._request(reader)
            self.seen.append(seen)
            await (self.script.pop(0) if self.script else self.otherwise)(seen, writer)
            await writer.drain()

    async def _request(self, reader: asyncio.StreamReader) -> Seen:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        return Seen(asyncio.get_running_loop().time(), lines[0].split()[1], headers, body)
