"""Machines of AWS or GCP through Ray's cluster launcher: ``ray up``, then the job over ``ray exec`` on the head.

Without the cloud's Python package the file is written and the commands are said.
"""

import importlib.util
import secrets
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from mics_ray.config.keys import HUB_TOKEN
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.private_files import make_private_folder, write_private
from mics_ray.submit.clusters import Preview, Say, check_writable
from mics_ray.submit.config import VmConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.package import find_group_files
from mics_ray.submit.vm_file import (
    CODE,
    GROUP_FILES,
    HEAD,
    PROVIDERS,
    SECRETS,
    TOKEN,
    build_cluster_file,
    machine_types,
)

MODULES = {"aws": "boto3", "gcp": "googleapiclient"}
JOBS = "http://127.0.0.1:8265"


class Vm:
    """See :class:`~mics_ray.submit.clusters.Cluster`. On the head the job is one for ``cluster=existing``."""

    def __init__(self, config: VmConfig, say: Say) -> None:
        if config.provider not in PROVIDERS:
            raise RefusedRun(f"cluster.provider: {config.provider} is none of {', '.join(PROVIDERS)}")
        if HEAD not in machine_types(config):
            raise RefusedRun(f"cluster.{config.provider} names no machine for `{HEAD}`")
        if config.provider == "gcp" and not config.project:
            raise RefusedRun("cluster.project: GCP needs the project's id")
        if not config.volume.startswith("/"):
            raise RefusedRun(f"cluster.volume: {config.volume} is not an absolute path of the machines")
        self._config, self._say = config, say
        self._keys_folder = Path(config.secrets_dir).expanduser() if config.secrets_dir else None
        self.base = config.volume

    def submit(self, job: SubmittedJob, detach: bool) -> int:
        """See the protocol. The launcher starts what is not there yet, and the head knows the job by its id."""
        path = self._write_files(job)
        steps = self._launcher_steps(path, job, ["--detach"] if detach else [], _group_folder(path).is_dir())
        if importlib.util.find_spec(MODULES[self._config.provider]) is None:
            self._say(f"{MODULES[self._config.provider]} is not installed here: {path} is written; then:")
            for step in steps:
                self._say(f"  {shlex.join(step)}")
            return EXIT_OK
        for step in steps[:-1]:
            if _run_step(step):
                raise RefusedRun(f"{shlex.join(step[:2])} failed; what it said stands above")
        code = _run_step(steps[-1])
        self._say(f"the machines stay until: ray down --yes {shlex.quote(str(path))}")
        # The launcher tells that the command failed, and not with which code.
        return EXIT_OK if code == 0 else EXIT_STOPPED

    def preview_submission(self, job: SubmittedJob) -> Preview:
        """See the protocol. The notes are the launcher's commands and the group files that the head would get."""
        text, own, path = self._render_file(job), list(find_group_files(job)), self._cluster_path(job)
        check_writable(path)
        steps = self._launcher_steps(path, job, [], bool(own))
        files = [f"  group file {name}" for name, _ in own]
        return Preview(text, (f"would be written to {path}; then:", *(f"  {shlex.join(one)}" for one in steps), *files))

    def show_status(self, job: SubmittedJob) -> int:
        """See the protocol."""
        return self._ask_head(job, "status")

    def stop(self, job: SubmittedJob) -> int:
        """See the protocol."""
        return self._ask_head(job, "stop")

    def _ask_head(self, job: SubmittedJob, action: str) -> int:
        path = self._cluster_path(job)
        if not path.exists():
            raise RefusedRun(f"{job.submission_id}: not submitted from here; there is no {path}")
        if importlib.util.find_spec(MODULES[self._config.provider]) is None:
            raise RefusedRun(f"{MODULES[self._config.provider]} is not installed here; Ray's launcher needs it")
        if _run_step(self._launcher_steps(path, job, [action], _group_folder(path).is_dir())[-1]):
            raise RefusedRun(f"{job.submission_id}: the head did not answer; what it said stands above")
        return EXIT_OK

    def _cluster_path(self, job: SubmittedJob) -> Path:
        return Path(self._config.dir).absolute() / f"{job.submission_id}.yaml"

    def _render_file(self, job: SubmittedJob) -> str:
        self._check_keys(job)
        made = build_cluster_file(self._config, job, str(self._token_file(job)))
        return yaml.safe_dump(made, sort_keys=False, width=1000)

    def _token_file(self, job: SubmittedJob) -> Path:
        return self._cluster_path(job).with_suffix(".token")

    def _write_files(self, job: SubmittedJob) -> Path:
        text, own = self._render_file(job), list(find_group_files(job))
        path, token = self._cluster_path(job), self._token_file(job)
        try:
            make_private_folder(path.parent)
            # A cluster that is up knows the token that it was started with.
            if not token.exists():
                write_private(token, secrets.token_hex(32))
            write_private(path, text)
            _copy_group_files(own, _group_folder(path))
        except OSError as error:
            raise RefusedRun(f"cluster.dir: cannot write {path}: {error.strerror}") from None
        return path

    def _check_keys(self, job: SubmittedJob) -> None:
        """Every key must lie in the folder that goes to the head."""
        folder = self._keys_folder
        missing = [name for name in job.key_names if not folder or not (folder / name).is_file()]
        if missing:
            raise RefusedRun(
                f"cluster.secrets_dir: the job needs {', '.join(missing)}; name a folder with a file for each"
            )

    def _has_hub_token(self) -> bool:
        """The head fetches models of the hub for all machines."""
        return self._keys_folder is not None and (self._keys_folder / HUB_TOKEN).is_file()

    def _launcher_steps(self, path: Path, job: SubmittedJob, action: list[str], own: bool) -> list[list[str]]:
        """The commands, in order; the last one is this program on the head, for which the cluster is there."""
        up = [["ray", "up", "--yes", str(path)]]
        # `rsync-up` reaches the head only.
        keys = bool(job.key_names) or self._has_hub_token()
        if keys:
            up.append(["ray", "rsync-up", str(path), f"{self._keys_folder}/", f"{SECRETS}/"])
        if own:
            up.append(["ray", "rsync-up", str(path), f"{_group_folder(path)}/", f"{GROUP_FILES}/"])
        words = [
            "python", f"{CODE}/scripts/submit.py", *action, *(["--config-dir", GROUP_FILES] if own else []),
            "cluster=existing", f"cluster.address={JOBS}", f"cluster.token_file={TOKEN}",
            f"cluster.volume={self._config.volume}", f"cluster.stop_s={self._config.stop_s}",
            *([f"cluster.secrets_dir={SECRETS}"] if keys else []), "--", job.program, *job.overrides,
        ]  # fmt: skip
        return [*up, ["ray", "exec", str(path), shlex.join(words)]]


def _group_folder(path: Path) -> Path:
    """Where the group files of a launcher's file lie: `rsync-up` copies a folder whole, and takes nothing else so."""
    return path.with_suffix(".conf")


def _copy_group_files(files: list[tuple[str, Path]], folder: Path) -> None:
    """Make ``folder`` hold these files and no others; without files there is none."""
    if folder.exists():
        shutil.rmtree(folder)
    for name, file in files:
        make_private_folder((folder / name).parent)
        shutil.copyfile(file, folder / name)


def _run_step(command: list[str]) -> int:
    tool = Path(sys.executable).with_name("ray")
    found = [str(tool) if tool.exists() else "ray", *command[1:]]
    return subprocess.run(found, check=False).returncode
