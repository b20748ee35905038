"""A SLURM cluster: the job goes there as an sbatch file that starts a Ray of its own."""

import errno
import getpass
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from rich.console import Console

from mics_ray.config.keys import DIRECTORY, read_key
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.private_files import create_private, make_private_folder, write_private
from mics_ray.runtime.serving.placement import ClusterNode, find_placement_problems
from mics_ray.submit.clusters import Preview, Say
from mics_ray.submit.config import SlurmConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.package import ROOT

POLL_S = 2.0
CHUNK = 1 << 20
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED")
TEMPLATE = ROOT / "cluster/slurm/job.sbatch.j2"
FIRST_PORT, BLOCK_PORTS, BLOCKS = 10000, 20, 1100
"""Ports of jobs lie in 10000 to 31999, below those that the kernel gives out."""
HEAD_PORTS = 3
HEAD_STORE = 100_000_000
PATIENCE_S = 300
_PLAIN = re.compile(r"[\w./:@%+=,-]+")


class Slurm:
    """See :class:`~mics_ray.submit.clusters.Cluster`. A job's name is its submission id."""

    def __init__(self, config: SlurmConfig, say: Say) -> None:
        self._config, self._say = config, say
        self.base = os.getcwd()

    def submit(self, job: SubmittedJob, detach: bool) -> int:
        """See the protocol."""
        self._check_folder()
        folder = self._make_folder()
        self._check_keys(job)
        text = render_sbatch(self._config, job, self.base)
        try:
            with RunLock(folder / f"{job.submission_id}.lock"):
                if (ended := self._read_exit_code(job)) == EXIT_OK:
                    self._say(f"{job.submission_id}: done already; its results are in {job.output}")
                    return EXIT_OK
                seen = self._log_file(job).stat().st_size if self._log_file(job).exists() else 0
                if queued := self._find_in_queue(job):
                    self._say(f"{job.submission_id}: {queued[1].lower()} already as job {queued[0]}")
                    seen = 0
                else:
                    self._queue_job(job, text, ended is not None)
        except LockHeld:
            raise RefusedRun(f"{job.submission_id} is just being submitted by another process") from None
        return EXIT_OK if detach else self._follow_log(job, seen)

    def preview_submission(self, job: SubmittedJob) -> Preview:
        """See the protocol. Whether the job is in the queue only SLURM knows; its programs need not be here."""
        self._check_folder()
        self._check_keys(job)
        text = render_sbatch(self._config, job, self.base)
        notes = [f"would be written to {self._sbatch_file(job).absolute()}, then: sbatch --parsable that file"]
        if self._read_exit_code(job) == EXIT_OK:
            notes.append(f"{job.submission_id}: done already; nothing would be submitted")
        return Preview(text, tuple(notes))

    def show_status(self, job: SubmittedJob) -> int:
        """See the protocol."""
        queued, ended = self._find_in_queue(job), self._read_exit_code(job)
        if queued is None and ended is None:
            raise RefusedRun(f"{job.submission_id}: neither in the queue nor ended in {self._config.dir}")
        stands = f"{queued[1].lower()} as job {queued[0]}" if queued else f"ended, exit code {ended}"
        self._say(f"{job.submission_id}: {stands}; log {self._log_file(job)}; output {job.output}")
        return EXIT_OK

    def stop(self, job: SubmittedJob) -> int:
        """See the protocol. The batch script hands the signal on; a job that only waits is taken out of the queue."""
        queued = self._find_in_queue(job)
        if queued is None:
            raise RefusedRun(f"{job.submission_id}: not in the queue")
        number, state = queued
        self._run_tool("scancel", *(["--batch", "--signal=TERM"] if state in RUNNING else []), number)
        self._say(f"{job.submission_id}: job {number} asked to stop; the same command goes on")
        return EXIT_OK

    def _queue_job(self, job: SubmittedJob, text: str, again: bool) -> None:
        file = self._sbatch_file(job)
        write_private(file, text)
        # Made here, for SLURM would make it with a mode of its own; it appends to a log that is there.
        create_private(self._log_file(job))
        if again:
            self._exit_file(job).unlink()
        number = self._run_tool("sbatch", "--parsable", str(file.absolute())).split(";")[0].strip()
        self._say(f"{job.submission_id}: job {number}; log {self._log_file(job)}")

    def _follow_log(self, job: SubmittedJob, seen: int) -> int:
        try:
            follow_file(self._log_file(job), seen, lambda: self._find_in_queue(job) is None)
        except KeyboardInterrupt:
            self._say(f"{job.submission_id}: goes on without us; the same command follows it again, `stop` ends it")
            return EXIT_STOPPED
        code = self._read_exit_code(job)
        if code is None:
            self._say(f"{job.submission_id}: left the queue without an end of its own; the same command goes on")
        return EXIT_STOPPED if code is None else code

    def _check_folder(self) -> None:
        folder = Path(self._config.dir)
        if not folder.parent.is_dir():
            raise RefusedRun(f"cluster.dir: no folder {folder.parent}; it must be one that all nodes share")
        if folder.exists() and not folder.is_dir():
            raise RefusedRun(f"cluster.dir: cannot make {folder}: {os.strerror(errno.EEXIST)}")
        if not folder.exists() and not os.access(folder.parent, os.W_OK):
            raise RefusedRun(f"cluster.dir: cannot make {folder}: {os.strerror(errno.EACCES)}")
        if folder.exists() and not os.access(folder, os.W_OK):
            raise RefusedRun(f"cluster.dir: cannot write to {folder}")

    def _make_folder(self) -> Path:
        folder = Path(self._config.dir)
        try:
            make_private_folder(folder)
        except OSError as error:
            raise RefusedRun(f"cluster.dir: cannot make {folder}: {error.strerror}") from None
        return folder

    def _check_keys(self, job: SubmittedJob) -> None:
        folder = self._config.secrets_dir
        if folder is not None and not Path(folder).is_dir():
            raise RefusedRun(f"cluster.secrets_dir: no such folder: {folder}")
        for name in job.key_names:
            if read_key(name) is None and not (folder and (Path(folder) / name).is_file()):
                where = f"in the environment nor in {folder}" if folder else "set; cluster.secrets_dir is not, either"
                raise RefusedRun(f"{name}: the job needs this key, and it is not {where}")

    def _find_in_queue(self, job: SubmittedJob) -> tuple[str, str] | None:
        """The job's number and state while it is in the queue."""
        found = self._run_tool(
            "squeue", "--noheader", f"--name={job.submission_id}", f"--user={getpass.getuser()}", "--format=%i %T"
        ).split()
        return (found[0], found[1]) if len(found) >= 2 else None

    def _read_exit_code(self, job: SubmittedJob) -> int | None:
        """The exit code of the last time that the job ended by itself."""
        try:
            return int(self._exit_file(job).read_text())
        except (OSError, ValueError):
            return None

    def _sbatch_file(self, job: SubmittedJob) -> Path:
        return Path(self._config.dir) / f"{job.submission_id}.sbatch"

    def _log_file(self, job: SubmittedJob) -> Path:
        return (Path(self._config.dir) / f"{job.submission_id}.log").absolute()

    def _exit_file(self, job: SubmittedJob) -> Path:
        return (Path(self._config.dir) / f"{job.submission_id}.exit").absolute()

    def _run_tool(self, program: str, *arguments: str) -> str:
        if shutil.which(program) is None:
            raise RefusedRun(f"{program}: no such program; submit from a machine of the SLURM cluster")
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RefusedRun(f"{program} failed: {said[:200]}")
        return done.stdout


def follow_file(log: Path, seen: int, ended: Callable[[], bool]) -> None:
    """Show what ``log`` holds from byte ``seen`` on, and what is added, until ``ended`` says so."""
    while True:
        # Asked before reading, so that what was written until then is still shown.
        over = ended()
        while log.exists() and (text := _read_chunk(log, seen)):
            Console(soft_wrap=True).out(text.decode(errors="replace"), end="", highlight=False)
            seen += len(text)
        if over:
            return
        time.sleep(POLL_S)


def _read_chunk(log: Path, seen: int) -> bytes:
    with log.open("rb") as file:
        file.seek(seen)
        return file.read(CHUNK)


def render_sbatch(config: SlurmConfig, job: SubmittedJob, folder: str) -> str:
    """The sbatch file of ``job``, whose relative paths begin at ``folder``. Raises :class:`RefusedRun`."""
    check_slurm(config, job)
    files = str(Path(config.dir).absolute() / job.submission_id)
    own = str(job.config_dir.resolve()) if job.config_dir else None
    values: dict[str, Any] = {
        "name": job.submission_id,
        "nodes": config.nodes,
        "cpus": config.cpus_per_node,
        "gpus": config.gpus_per_node,
        "store": config.object_store_bytes,
        "options": list(_sbatch_options(config)),
        "signal_s": config.signal_s,
        "files": files,
        "folder": shlex.quote(folder),
        "scratch": config.scratch,
        "python": config.python or sys.executable,
        "root": shlex.quote(str(ROOT)),
        "secrets": shlex.quote(config.secrets_dir) if config.secrets_dir else "",
        "secrets_variable": DIRECTORY,
        "program": shlex.quote(str(ROOT / "scripts" / f"{job.program}.py")),
        "arguments": shlex.join(job.program_arguments(None, own)),
        "first_port": FIRST_PORT,
        "block_ports": BLOCK_PORTS,
        "blocks": BLOCKS,
        "head_ports": HEAD_PORTS,
        "agent_ports": BLOCK_PORTS - HEAD_PORTS,
        "head_store": HEAD_STORE,
        "patience_s": PATIENCE_S,
        "exit_stopped": EXIT_STOPPED,
    }
    # Jinja's own sign for a comment stands in bash's ${#array[@]}.
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, comment_start_string="{##"
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)


def check_slurm(config: SlurmConfig, job: SubmittedJob) -> None:
    """Refuse what SLURM or the shell would misread, and models that the nodes cannot hold."""
    for name in ("dir", "scratch", "python", "memory", "time", "partition", "account", "qos"):
        value = getattr(config, name)
        if value is not None and not _PLAIN.fullmatch(value):
            raise RefusedRun(f"cluster.{name}: only letters, digits and ./:@%+=,_- are allowed in {value[:80]!r}")
    for name, least in (("nodes", 1), ("cpus_per_node", 1), ("gpus_per_node", 0), ("signal_s", 30)):
        if getattr(config, name) < least:
            raise RefusedRun(f"cluster.{name}: {getattr(config, name)} is below {least}")
    machines = [ClusterNode(f"node {n + 1}", config.gpus_per_node, config.cpus_per_node) for n in range(config.nodes)]
    # Without GPUs the models run on CPUs and reserve nothing.
    if config.gpus_per_node and (problems := find_placement_problems(job.needs, machines)):
        raise RefusedRun(f"{'; '.join(problems)}; see cluster.nodes and cluster.gpus_per_node")


def _sbatch_options(config: SlurmConfig) -> list[tuple[str, str]]:
    """What is left out is the cluster's own default."""
    named = {"mem": config.memory, "time": config.time, "partition": config.partition, "account": config.account}
    named["qos"] = config.qos
    return [(option, value) for option, value in named.items() if value is not None]
