"""Several hosts on one machine: network namespaces with addresses of their own, joined by a switch that leads nowhere.

Needs root and Debian's iproute2. Nothing in the machine's own network is touched: the bridge lies in a namespace too.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUBNET = "10.77.0"
PRIVATE = "private"
"""Every host sees a folder of its own at this place of the network's folder, as machines do not share /tmp."""
LEAVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Host:
    """One pretended machine."""

    number: int
    space: str
    address: str


class Network:
    """Hosts on a switch. Processes started with :meth:`start` end with the network."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self._switch = f"mr{os.getpid()}-switch"
        self.hosts = [Host(n, f"mr{os.getpid()}-{n}", f"{SUBNET}.{n + 1}") for n in range(count)]

    @property
    def private(self) -> Path:
        """The folder that is another one on every host."""
        return self.folder / PRIVATE

    def up(self) -> None:
        """Build it. Raises :class:`subprocess.CalledProcessError` without root."""
        self.private.mkdir()
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")
        for host in self.hosts:
            self._add(host)

    def _add(self, host: Host) -> None:
        (self.folder / f"{PRIVATE}-{host.number}").mkdir()
        port = f"port{host.number}"
        _ip("netns", "add", host.space)
        _ip("link", "add", port, "netns", self._switch, "type", "veth", "peer", "name", "eth0", "netns", host.space)
        _ip("-n", self._switch, "link", "set", port, "master", "bridge", "up")
        _ip("-n", host.space, "address", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", host.space, "link", "set", device, "up")
        # Ray learns its own address from the route to an outside one; behind the switch there is nobody.
        _ip("-n", host.space, "route", "add", "default", "dev", "eth0")

    def cut(self, host: Host) -> None:
        """Take the host's cable out; its processes go on."""
        _ip("-n", self._switch, "link", "set", f"port{host.number}", "down")

    def heal(self, host: Host) -> None:
        """Put it back."""
        _ip("-n", self._switch, "link", "set", f"port{host.number}", "up")

    def command(self, host: Host, arguments: Sequence[str]) -> list[str]:
        """``arguments`` as a command that runs on ``host``, in the caller's folder and environment."""
        own = shlex.quote(str(self.folder / f"{PRIVATE}-{host.number}"))
        script = f'mount --bind {own} {shlex.quote(str(self.private))} && exec "$@"'
        return ["ip", "netns", "exec", host.space, "unshare", "--mount", "sh", "-c", script, "sh", *arguments]

    def start(
        self, host: Host, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Run a program on ``host``; what it prints is appended to ``log``."""
        with log.open("ab") as file:
            return subprocess.Popen(
                self.command(host, arguments),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def processes(self) -> list[int]:
        """Everything that runs on the hosts."""
        found = [_ip("netns", "pids", host.space, check=False).split() for host in self.hosts]
        return [int(pid) for pids in found for pid in pids]

    def down(self) -> None:
        """End every process on the hosts and take the network away; what never came up is passed over."""
        for number, patience in ((signal.SIGTERM, LEAVE_S), (signal.SIGKILL, LEAVE_S)):
            deadline = time.monotonic() + patience
            _signal(self.processes(), number)
            while self.processes() and time.monotonic() < deadline:
                time.sleep(0.1)
        for space in (*(host.space for host in self.hosts), self._switch):
            _ip("netns", "delete", space, check=False)


@contextmanager
def network(count: int) -> Iterator[Network]:
    """A network of ``count`` hosts for a while, and a folder of its own with a short path."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix="mr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        built = Network(Path(folder), count)
        try:
            built.up()
            yield built
        finally:
            built.down()


def _sweep() -> None:
    """Take away what a test that was killed has left: its namespaces carry its process id."""
    for name in re.findall(r"^mr\d+-\w+", _ip("netns", "list"), re.MULTILINE):
        if not Path(f"/proc/{name[2:].split('-')[0]}").exists():
            _signal([int(pid) for pid in _ip("netns", "pids", name, check=False).split()], signal.SIGKILL)
            _ip("netns", "delete", name, check=False)


def possible() -> bool:
    """Whether this machine lets us build one."""
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in ("ip", "unshare", "mount"))


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=check)
    return done.stdout


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
