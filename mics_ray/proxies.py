"""Which addresses no proxy of the environment may stand before. The standard library only.

A proxy takes plain http in clear, tokens included, and cannot reach what listens on another machine's loopback.
"""

import ipaddress
import os
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")
VARIABLES = ("no_proxy", "NO_PROXY")
"""Programs differ in which they read, and in which goes first where both are set."""


def reach_directly(*hosts: str) -> None:
    """Keep this process, and what it starts, from asking a proxy for loopback or for ``hosts`` (names, addresses)."""
    told = [word.strip() for name in VARIABLES for word in os.environ.get(name, "").split(",")]
    # `*` (nothing through a proxy) counts only where it stands alone.
    value = "*" if "*" in told else ",".join(dict.fromkeys(filter(None, (*told, *LOOPBACK, *hosts))))
    os.environ.update(dict.fromkeys(VARIABLES, value))


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shows_secrets(url: str) -> bool:
    """Whether a token in a request to ``url`` could be read on the way: plain http to another machine."""
    parts = urlsplit(url)
    return parts.scheme != "https" and not is_loopback(parts.hostname or "")
