"""Waiting for a cluster's workers: ``python -m mics_ray.submit.slurm.wait_for_nodes HOST:PORT WORKERS SECONDS``."""

import socket
import sys
import time
from collections.abc import Sequence

import ray

POLL_S = 0.5


def main(argv: Sequence[str]) -> int:
    """Exit code 0 when the head and ``WORKERS`` nodes more are alive, 1 when they are not in time."""
    address, workers, seconds = argv[0], int(argv[1]), float(argv[2])
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if count_live_nodes(address) > workers:
            return 0
        time.sleep(POLL_S)
    sys.stderr.write(f"not all of {workers} Ray workers joined {address} within {seconds:g} s\n")
    return 1


def count_live_nodes(address: str) -> int:
    """Live nodes of the cluster at ``address``, its head among them; 0 where nobody answers."""
    host, _, port = address.rpartition(":")
    try:
        # Ray's client waits long, and ever longer, for what is not up.
        socket.create_connection((host, int(port)), timeout=1.0).close()
        nodes = ray._raylet.GcsClient(address=address).get_all_node_info(timeout=5.0)
    except Exception:  # not up yet: Ray raises half a dozen kinds
        return 0
    return sum(node.state == 0 for node in nodes.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
