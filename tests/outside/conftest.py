"""A SLURM cluster of the tests' own: one controller and two slurmd nodes on this machine, with a munge of their own."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import until

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")
CONF = """
ClusterName=mics
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
JobRequeue=1
MpiDefault=none
SlurmdParameters=config_overrides
KillWait=10
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=4 Gres=gpu:h100_1g.12gb:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=4 Gres=gpu:h100_1g.12gb:2
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
GRES = "NodeName=n1,n2 Name=gpu Type=h100_1g.12gb File={folder}/gpu[0-1]\n"
"""Two pretended slices of a GPU on each node; SLURM wants a file for each."""


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """Two nodes, ready for jobs; ``SLURM_CONF`` leads there."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    assert not missing, f"not installed: {missing}; `make test-cluster` installs them"
    folder = Path("/tmp") / f"ms{secrets.token_hex(3)}"
    folder.mkdir(mode=0o755)
    _munge(folder)
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(_conf(folder))
    (folder / "gres.conf").write_text(GRES.format(folder=folder))
    for number in range(2):
        (folder / f"gpu{number}").touch()
    started: list[subprocess.Popen[bytes]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PATH", _path())
        try:
            started.append(_start(folder, "munged", *_munge_arguments(folder), user="munge"))
            until(lambda: (folder / "munge/socket").exists(), 20)
            started.append(_start(folder, "slurmctld", "-D"))
            started += [_start(folder, "slurmd", "-D", "-N", node) for node in ("n1", "n2")]
            until(lambda: _idle() == 2, 60, 0.5)
            yield
        finally:
            _clear()
            for process in reversed(started):
                process.terminate()
                process.wait(30)
    shutil.rmtree(folder, ignore_errors=True)


def _munge(folder: Path) -> None:
    """A key and folders that munged accepts: its own, and closed to others."""
    home = folder / "munge"
    home.mkdir(mode=0o755)
    (home / "key").write_bytes(os.urandom(1024))
    (home / "key").chmod(0o400)
    for path in (home, home / "key"):
        shutil.chown(path, "munge", "munge")


def _munge_arguments(folder: Path) -> list[str]:
    home = folder / "munge"
    files = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
    return ["--foreground", *(f"--{option}={home / name}" for option, name in files.items())]


def _conf(folder: Path) -> str:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    controller, first, second = (one.getsockname()[1] for one in held)
    for one in held:
        one.close()
    host = socket.gethostname().split(".")[0]
    return CONF.format(folder=folder, host=host, controller=controller, first=first, second=second)


def _start(folder: Path, program: str, *arguments: str, user: str | None = None) -> "subprocess.Popen[bytes]":
    with (folder / f"{program}.out").open("ab") as log:
        return subprocess.Popen([program, *arguments], stdout=log, stderr=log, user=user, group=user)


def _clear() -> None:
    """No job outlives the tests: what a failed one left is cancelled, and SLURM ends its processes."""
    subprocess.run(["scancel", "--user=root"], check=False)
    with contextlib.suppress(TimeoutError):
        until(lambda: _idle() == 2, 60, 0.5)


def _idle() -> int:
    done = subprocess.run(["sinfo", "-h", "-N", "-o", "%t"], capture_output=True, text=True, check=False)
    return done.stdout.split().count("idle")


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/sbin"])
