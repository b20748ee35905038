"""For every test: no way out of this machine, and law tests that draw the same examples on every run."""

import ipaddress
import signal
import socket
import sys
from typing import Any

from hypothesis import settings

# A shell's background job ignores Ctrl-C, and so would every program that a test starts and stops by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tests", derandomize=True, deadline=None, database=None)
settings.load_profile("tests")


class LeftTheMachine(RuntimeError):
    """A test tried to reach another machine. No ``OSError``, so that nothing retries or swallows it."""


def _is_here(host: str) -> bool:
    """Whether ``host`` is loopback or an address of this machine (Ray talks to itself over that)."""
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return host in ("localhost", "")
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Connecting a datagram socket sends nothing (Ray finds its own address that way); sending with it does."""
    if event not in ("socket.connect", "socket.sendto"):
        return
    used, address = arguments[0], arguments[1]
    if used.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if event == "socket.connect" and used.type & socket.SOCK_DGRAM == socket.SOCK_DGRAM:
        return
    if not _is_here(str(address[0])):
        raise LeftTheMachine(f"a test tried to reach {address[0]}; stand in for it on loopback")


# An audit hook sees the connections of every library in this process, and cannot be undone by one of them.
sys.addaudithook(_guard)
