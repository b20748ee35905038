"""Reading the address and the token of a cluster that is there, before anything is sent. Needs no ray."""

import ipaddress
import os
import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from mics_ray.errors import RefusedRun

REACH_S = 5.0


def checked(address: str) -> str:
    """``address`` as a URL without a path. Raises :class:`RefusedRun`: a token travels over https or loopback only."""
    url = urlsplit(address if "://" in address else f"http://{address}")
    try:
        port = url.port
    except ValueError:
        port = -1
    if url.scheme not in ("http", "https") or not url.hostname or port == -1 or url.username:
        raise RefusedRun("cluster.address: give the dashboard as https://HOST:PORT, or http://127.0.0.1:PORT")
    if url.scheme == "http" and not _loopback(url.hostname):
        raise RefusedRun(
            f"cluster.address: {url.hostname} over http would show token and data to the network; use https, or "
            f"a tunnel (ssh -L 8265:127.0.0.1:{port or 8265} {url.hostname}) and cluster.address=http://127.0.0.1:8265"
        )
    _reach(url)
    return f"{url.scheme}://{url.netloc}"


def token(variable: str, file: str | None) -> str | None:
    """The token from the environment, else from ``file``; ``None`` where neither is there. Raises
    :class:`RefusedRun` for a file that cannot be read."""
    if value := os.environ.get(variable, "").strip():
        return value
    if file is None:
        return None
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedRun(f"cluster.token_file: cannot read {file} ({type(error).__name__})") from None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reach(url: SplitResult) -> None:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=REACH_S).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RefusedRun(f"cluster.address: nothing answers at {url.hostname}:{port} ({reason})") from None
