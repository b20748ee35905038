"""A SLURM cluster: the job goes there as an sbatch file that starts a Ray of its own."""

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from mics_ray.config.keys import read_key
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.submit.clusters import Say
from mics_ray.submit.config import SlurmConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.sbatch import script

POLL_S = 2.0
CHUNK = 1 << 20
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED")


class Slurm:
    """See :class:`~mics_ray.submit.clusters.Cluster`. A job's name is its submission id."""

    def __init__(self, config: SlurmConfig, say: Say) -> None:
        self._config, self._say = config, say
        self.base = os.getcwd()

    def submit(self, job: SubmittedJob, detach: bool) -> int:
        """See the protocol."""
        folder = self._folder()
        self._check_keys(job)
        text = script(self._config, job, self.base)
        try:
            with RunLock(folder / f"{job.submission_id}.lock"):
                if (ended := self._ended(job)) == EXIT_OK:
                    self._say(f"{job.submission_id}: done already; its results are in {job.output}")
                    return EXIT_OK
                seen = self._log(job).stat().st_size if self._log(job).exists() else 0
                if queued := self._queued(job):
                    self._say(f"{job.submission_id}: {queued[1].lower()} already as job {queued[0]}")
                    seen = 0
                else:
                    self._start(job, text, ended is not None)
        except LockHeld:
            raise RefusedRun(f"{job.submission_id} is just being submitted by another process") from None
        return EXIT_OK if detach else self._follow(job, seen)

    def status(self, job: SubmittedJob) -> int:
        """See the protocol."""
        queued, ended = self._queued(job), self._ended(job)
        if queued is None and ended is None:
            raise RefusedRun(f"{job.submission_id}: neither in the queue nor ended in {self._config.dir}")
        stands = f"{queued[1].lower()} as job {queued[0]}" if queued else f"ended, exit code {ended}"
        self._say(f"{job.submission_id}: {stands}; log {self._log(job)}; output {job.output}")
        return EXIT_OK

    def stop(self, job: SubmittedJob) -> int:
        """See the protocol. The batch script hands the signal on; a job that only waits is taken out of the queue."""
        queued = self._queued(job)
        if queued is None:
            raise RefusedRun(f"{job.submission_id}: not in the queue")
        number, state = queued
        self._run("scancel", *(["--batch", "--signal=TERM"] if state in RUNNING else []), number)
        self._say(f"{job.submission_id}: job {number} asked to stop; the same command goes on")
        return EXIT_OK

    def _start(self, job: SubmittedJob, text: str, again: bool) -> None:
        file = Path(self._config.dir) / f"{job.submission_id}.sbatch"
        file.write_text(text, encoding="utf-8")
        if again:
            self._exit(job).unlink()
        number = self._run("sbatch", "--parsable", str(file.absolute())).split(";")[0].strip()
        self._say(f"{job.submission_id}: job {number}; log {self._log(job)}")

    def _follow(self, job: SubmittedJob, seen: int) -> int:
        try:
            follow(self._log(job), seen, lambda: self._queued(job) is None)
        except KeyboardInterrupt:
            self._say(f"{job.submission_id}: goes on without us; the same command follows it again, `stop` ends it")
            return EXIT_STOPPED
        code = self._ended(job)
        if code is None:
            self._say(f"{job.submission_id}: left the queue without an end of its own; the same command goes on")
        return EXIT_STOPPED if code is None else code

    def _folder(self) -> Path:
        folder = Path(self._config.dir)
        if not folder.parent.is_dir():
            raise RefusedRun(f"cluster.dir: no folder {folder.parent}; it must be one that all nodes share")
        # The log and the token are for the owner only, also where SLURM makes the file.
        os.umask(0o077)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RefusedRun(f"cluster.dir: cannot make {folder}: {error.strerror}") from None
        if not os.access(folder, os.W_OK):
            raise RefusedRun(f"cluster.dir: cannot write to {folder}")
        return folder

    def _check_keys(self, job: SubmittedJob) -> None:
        folder = self._config.secrets_dir
        if folder is not None and not Path(folder).is_dir():
            raise RefusedRun(f"cluster.secrets_dir: no such folder: {folder}")
        for name in job.key_names:
            if read_key(name) is None and not (folder and (Path(folder) / name).is_file()):
                where = f"in the environment nor in {folder}" if folder else "set; cluster.secrets_dir is not, either"
                raise RefusedRun(f"{name}: the job needs this key, and it is not {where}")

    def _queued(self, job: SubmittedJob) -> tuple[str, str] | None:
        """The job's number and state while it is in the queue."""
        found = self._run(
            "squeue", "--noheader", f"--name={job.submission_id}", f"--user={getpass.getuser()}", "--format=%i %T"
        ).split()
        return (found[0], found[1]) if len(found) >= 2 else None

    def _ended(self, job: SubmittedJob) -> int | None:
        """The exit code of the last time that the job ended by itself."""
        try:
            return int(self._exit(job).read_text())
        except (OSError, ValueError):
            return None

    def _log(self, job: SubmittedJob) -> Path:
        return (Path(self._config.dir) / f"{job.submission_id}.log").absolute()

    def _exit(self, job: SubmittedJob) -> Path:
        return (Path(self._config.dir) / f"{job.submission_id}.exit").absolute()

    def _run(self, program: str, *arguments: str) -> str:
        if shutil.which(program) is None:
            raise RefusedRun(f"{program}: no such program; submit from a machine of the SLURM cluster")
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RefusedRun(f"{program} failed: {said[:200]}")
        return done.stdout


def follow(log: Path, seen: int, ended: Callable[[], bool]) -> None:
    """Show what ``log`` holds from byte ``seen`` on, and what is added, until ``ended`` says so."""
    while True:
        # Asked before reading, so that what was written until then is still shown.
        over = ended()
        while log.exists() and (text := _read(log, seen)):
            Console(soft_wrap=True).out(text.decode(errors="replace"), end="", highlight=False)
            seen += len(text)
        if over:
            return
        time.sleep(POLL_S)


def _read(log: Path, seen: int) -> bytes:
    with log.open("rb") as file:
        file.seek(seen)
        return file.read(CHUNK)
