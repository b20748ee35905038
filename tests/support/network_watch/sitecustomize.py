"""In every Python process of a run that is watched: the hosts that it connects to, sends to or looks up.

Each becomes a line ``event host`` of the file ``NETWORK_WATCH``. This file's folder stands on ``PYTHONPATH``. What
is no Python (Ray's own servers) is watched by the counters of the link, see ``tests/support/closed_network.py``.
"""

import os
import socket
import sys
from typing import Any

WATCHED = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")


def _note_host(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in WATCHED:
        return
    if event in ("socket.connect", "socket.sendto"):
        used, address = arguments[0], arguments[1]
        if used.family not in (socket.AF_INET, socket.AF_INET6):
            return
        # To connect a datagram socket sends nothing: that is how a program learns its own address.
        if event == "socket.connect" and used.type & socket.SOCK_DGRAM == socket.SOCK_DGRAM:
            return
        host = address[0]
    else:
        host = arguments[0] or "localhost"  # nothing is asked for where a server listens
    with open(os.environ["NETWORK_WATCH"], "a", encoding="utf-8") as file:
        file.write(f"{event} {host.decode() if isinstance(host, bytes) else host}\n")


if "NETWORK_WATCH" in os.environ:
    sys.addaudithook(_note_host)
