"""Whether a Ray is at an address, known in seconds: Ray itself tries for two minutes before it gives up."""

import os
import socket

from ray._private import services

from mics_ray.errors import RefusedRun

ANSWER_S = 5.0  # more than a slow network needs, little for a person who mistyped an address
CLIENT = "ray://"
CLIENT_PORT = 10001
# Ray speaks gRPC, that is HTTP/2: the client begins with a preface and empty settings, the server answers with its own.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
FRAME_HEAD, SETTINGS = 9, 4


def refuse_unreachable(address: str) -> None:
    """Raises :class:`RefusedRun` unless a gRPC server answers at ``address``.

    ``address``: ``auto``, ``HOST:PORT`` of the head, or ``ray://HOST:PORT`` of its client server.
    """
    host, port = _resolve_address(address)
    where = address if address in (f"{host}:{port}", f"{CLIENT}{host}:{port}") else f"{address} ({host}:{port})"
    try:
        spoken = speaks_grpc(host, port)
    except TimeoutError:
        raise RefusedRun(f"ray.address: no answer from {where} within {ANSWER_S:.0f} s; is it up?") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RefusedRun(f"ray.address: nothing answers at {where} ({reason}); is it up?") from None
    if not spoken:
        raise RefusedRun(f"ray.address: what answers at {where} is no Ray; give the head's own port (6379 by default)")


def speaks_grpc(host: str, port: int) -> bool:
    """Whether the server there speaks gRPC; over TLS (``RAY_USE_TLS=1``), whether there is any.

    Raises OSError where none listens, its TimeoutError where one says nothing for :data:`ANSWER_S` seconds.
    """
    with socket.create_connection((host, port), timeout=ANSWER_S) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
            return True  # a handshake would need the cluster's certificates, which Ray reads by itself
        connection.sendall(PREFACE)
        head = b""
        # In pieces: TCP may deliver a frame's head byte by byte.
        while len(head) < FRAME_HEAD and (more := connection.recv(FRAME_HEAD - len(head))):
            head += more
    return len(head) == FRAME_HEAD and head[3] == SETTINGS


def _resolve_address(address: str) -> tuple[str, int]:
    """Host and port that Ray would connect to: it takes this machine's own address for a loopback one."""
    if address.startswith(CLIENT):
        host, _, port = address.removeprefix(CLIENT).rpartition(":")
        found = f"{host}:{port}" if host else f"{port}:{CLIENT_PORT}"
    else:
        try:
            found = services.canonicalize_bootstrap_address_or_die(address)
        except ConnectionError:
            raise RefusedRun("ray.address: auto finds no Ray on this machine; give HOST:PORT of the head") from None
        except (ValueError, OSError):
            found = ""
    host, _, port = found.rpartition(":")
    if not host or not port.isdecimal():
        raise RefusedRun(f"ray.address: {address} is not auto, HOST:PORT or {CLIENT}HOST:PORT")
    return host.strip("[]"), int(port)
