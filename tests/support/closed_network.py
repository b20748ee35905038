"""A program on a machine whose network leads nowhere, and what it tried to send there, by Python or otherwise."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WATCH = Path(__file__).parent / "network_watch"
LINK, OWN_ADDRESS = "out0", "192.0.2.2"
_SCRIPT = f"""
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip link set lo up
ip link add {LINK} type veth peer name out1
ip address add {OWN_ADDRESS}/24 dev {LINK}
ip link set {LINK} up
ip link set out1 up
ip route add default via 192.0.2.1 dev {LINK}
"$@"
code=$?
cat /proc/net/dev > "$LINK_COUNTERS"
exit $code
"""


@dataclass(frozen=True)
class WatchedRun:
    """How a program ended, the hosts that its Python processes reached for, and the packets that left the machine."""

    code: int
    output: str
    hosts: frozenset[str]
    packets: int


def possible() -> bool:
    """Whether this machine lets us build the network: root, and Debian's iproute2."""
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in ("ip", "unshare", "sysctl"))


def run_watched(command: Sequence[str], folder: Path, timeout: float, **environment: str) -> WatchedRun:
    """Run ``command`` to its end in a network namespace of its own; ``folder`` takes what is noted.

    A default route leads to a link with nobody behind it, so whatever is sent there is counted by the kernel.
    """
    noted, counters = folder / "network", folder / "links"
    noted.touch()
    paths = os.pathsep.join(filter(None, [str(WATCH), os.environ.get("PYTHONPATH")]))
    watching = {"PYTHONPATH": paths, "NETWORK_WATCH": str(noted), "LINK_COUNTERS": str(counters)}
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", _SCRIPT, "sh", *command],
        capture_output=True, text=True, timeout=timeout, env={**os.environ, **watching, **environment}, check=False,
    )  # fmt: skip
    hosts = frozenset(line.split(" ", 1)[1] for line in noted.read_text(encoding="utf-8").splitlines())
    link = next(line for line in counters.read_text(encoding="utf-8").splitlines() if line.strip().startswith(LINK))
    # Eight counters of what came in, then the bytes and the packets that went out.
    return WatchedRun(done.returncode, done.stdout + done.stderr, hosts, int(link.split(":")[1].split()[9]))
