"""A node's own address in a network: ``python -m mics_ray.submit.slurm.node_address NETWORK``.

Prints the IPv4 address and its interface. ``NETWORK`` is an interface, such as ``ib0``, or a subnet in its form
``10.1.0.0/16``.
"""

import ipaddress
import re
import socket
import sys
from collections.abc import Mapping, Sequence

import psutil

from mics_ray.errors import EXIT_OK, EXIT_REFUSED

_INTERFACE = re.compile(r"[\w.:-]{1,15}")
"""Linux' names of interfaces have 15 characters at most."""


def main(argv: Sequence[str]) -> int:
    """Print the address; exit code 78 and a line that names the node and what it has, where there is none."""
    found = {
        name: [one.address for one in addresses if one.family == socket.AF_INET]
        for name, addresses in psutil.net_if_addrs().items()
    }
    chosen = choose_address(argv[0], found)
    if chosen is None:
        there = ", ".join(f"{name} {address}" for name, several in found.items() for address in several)
        sys.stderr.write(
            f"refused: cluster.network: {socket.gethostname()} has no address in {argv[0]}; it has {there}\n"
        )
        return EXIT_REFUSED
    sys.stdout.write(" ".join(chosen) + "\n")
    return EXIT_OK


def is_network(text: str) -> bool:
    """Whether ``text`` has the form of an interface or of an IPv4 subnet."""
    if "/" not in text:
        return bool(_INTERFACE.fullmatch(text))
    try:
        ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return False
    return True


def choose_address(network: str, found: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    """The first address in ``network`` of those ``found``, by interface, and its interface."""
    for name, addresses in found.items():
        for address in addresses:
            if _is_in(address, name, network):
                return address, name
    return None


def _is_in(address: str, interface: str, network: str) -> bool:
    if "/" not in network:
        return interface == network
    return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(network, strict=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
