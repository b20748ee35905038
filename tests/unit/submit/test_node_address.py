"""A node's address in a network, of this machine's own interfaces."""

import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.submit.slurm.node_address import choose_address, main

ROOT = Path(__file__).resolve().parents[3]
FOUND = {"lo": ["127.0.0.1"], "eth0": ["192.168.1.3", "10.2.0.9"], "ib0": ["10.1.4.7"], "down0": []}


@pytest.mark.parametrize(
    ("network", "chosen"),
    [
        ("ib0", ("10.1.4.7", "ib0")),
        ("eth0", ("192.168.1.3", "eth0")),
        ("10.1.0.0/16", ("10.1.4.7", "ib0")),
        ("10.2.3.4/16", ("10.2.0.9", "eth0")),
        ("10.0.0.0/8", ("10.2.0.9", "eth0")),
        ("down0", None),
        ("ib1", None),
        ("172.16.0.0/12", None),
    ],
)
def test_the_address_is_the_interface_s_or_one_of_the_subnet(network: str, chosen: tuple[str, str] | None) -> None:
    assert choose_address(network, FOUND) == chosen


def test_this_machine_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for network in ("lo", "127.0.0.0/8"):
        assert main([network]) == 0
        assert capsys.readouterr().out == "127.0.0.1 lo\n"


def test_a_node_outside_the_network_says_what_it_has() -> None:
    command = [sys.executable, "-m", "mics_ray.submit.slurm.node_address", "240.0.0.0/8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("refused: cluster.network: ")
    assert "has no address in 240.0.0.0/8; it has lo 127.0.0.1" in done.stderr
