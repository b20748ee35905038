"""A SLURM cluster: the job goes there as an sbatch file that starts a Ray of its own."""

import errno
import getpass
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from mics_ray.config.keys import read_key
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.private_files import create_private, make_private_folder, write_private
from mics_ray.submit import versions
from mics_ray.submit.clusters import Preview, Say
from mics_ray.submit.config import SlurmConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.slurm.sbatch import render_sbatch

POLL_S = 2.0
CHUNK = 1 << 20
IN_A_JOB = {"SLURM_JOB_ID", "SLURM_JOBID"}
OF_CLIENTS = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT"}
"""How SLURM's programs find and greet their controller; inside a job as outside."""
_OF_A_JOB = re.compile(r"SLURM|PMI|(CUDA|ROCR)_VISIBLE_DEVICES$|GPU_DEVICE_ORDINAL$|ZE_AFFINITY_MASK$")
"""Variables that SLURM and its plugins set in a job; the last ones name its GPUs."""
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED")


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
        self._check_python()
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

    def _check_python(self) -> None:
        """Refuse another interpreter of the nodes that lacks this one's versions: they see the same one."""
        python = self._config.python
        if python is None:
            return
        question = f"import runpy; print(runpy.run_path({versions.__file__!r})['describe_versions']())"
        try:
            done = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
        except OSError as error:
            raise RefusedRun(f"cluster.python: {python} does not run here ({error.strerror})") from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RefusedRun(f"cluster.python: {python} is no Python that could be asked: {said[:200]}")
        theirs, ours = done.stdout.strip(), versions.describe_versions()
        if theirs != ours:
            raise RefusedRun(f"cluster.python: {python} has {theirs}, this machine {ours}; use the same on both")

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
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, env=clear_outer_job(os.environ)
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RefusedRun(f"{program} failed: {said[:200]}")
        return done.stdout


def clear_outer_job(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without what SLURM told the job in which we are: sbatch hands it on, and srun, in the new job,
    would take its sizes and its GPUs. The same where we are in none."""
    if not environment.keys() & IN_A_JOB:
        return dict(environment)
    return {name: value for name, value in environment.items() if name in OF_CLIENTS or not _OF_A_JOB.match(name)}


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
