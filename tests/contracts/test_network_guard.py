"""The guard of `tests/conftest.py` itself: out of the machine nothing goes, loopback does."""

import asyncio
import socket
import threading

import aiohttp
import pytest

OUTSIDE = "192.0.2.1"  # a documentation address: nobody has it


def test_connections_to_other_machines_are_refused() -> None:
    for family, address in ((socket.AF_INET, OUTSIDE), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family) as outgoing, pytest.raises(RuntimeError, match="tried to reach"):
            outgoing.connect((address, 443))
    with socket.socket() as outgoing, pytest.raises(RuntimeError, match="tried to reach"):
        outgoing.connect_ex((OUTSIDE, 443))
    with socket.socket(type=socket.SOCK_DGRAM) as outgoing, pytest.raises(RuntimeError, match="tried to reach"):
        outgoing.sendto(b"x", (OUTSIDE, 53))


async def test_a_client_library_is_refused_too() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(RuntimeError, match="tried to reach"):
            await session.get(f"http://{OUTSIDE}/", timeout=aiohttp.ClientTimeout(5))


async def test_loopback_is_reached() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()


def test_the_guard_holds_in_other_threads() -> None:
    seen: list[BaseException] = []

    def connect() -> None:
        try:
            socket.create_connection((OUTSIDE, 443), timeout=1)
        except RuntimeError as error:
            seen.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    assert len(seen) == 1
