"""The working directory of a submitted job: the code and the group files, and nothing else of this machine.

An allow-list decides, so that data, weights, results, environments and secrets stay here whatever they are called.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mics_ray.config.compose import CONF, list_groups, looks_like_key
from mics_ray.errors import RefusedRun
from mics_ray.submit.job import SubmittedJob

ROOT = CONF.parent
CODE = ("mics_ray", "train", "eval", "scripts", "conf")
SUFFIXES = frozenset({".py", ".yaml"})
OWN = "submitted_conf"
"""Where the user's own group files lie in the package."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(job: SubmittedJob, folder: Path) -> Path:
    """Write the package of ``job`` into ``folder``; the same content gives the same file. Raises
    :class:`RefusedRun` where a group file holds what looks like a key."""
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, file in sorted(contents(job)):
            package.writestr(zipfile.ZipInfo(name, _EPOCH), file.read_bytes(), zipfile.ZIP_DEFLATED)
    named = folder / f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.zip"
    return path.rename(named)


def contents(job: SubmittedJob) -> Iterator[tuple[str, Path]]:
    """Names in the package and the files that they come from. Raises as :func:`group_files` does."""
    for top in CODE:
        for file in _files(ROOT / top):
            if file.suffix in SUFFIXES:
                yield file.relative_to(ROOT).as_posix(), file
    # The project's own small models and cases, where the job asks for them by name.
    for name in job.embedded:
        place = ROOT / "mics_ray/local" / name
        for file in _files(place if place.is_dir() else place.parent):
            if file.suffix not in SUFFIXES:
                yield file.relative_to(ROOT).as_posix(), file
    for name, file in group_files(job):
        yield f"{OWN}/{name}", file


def group_files(job: SubmittedJob) -> Iterator[tuple[str, Path]]:
    """The user's own group files: names below the ``--config-dir``, and the files. Raises :class:`RefusedRun`
    where one holds what looks like a key."""
    if job.config_dir is None:
        return
    for group in list_groups(job.program):
        for file in sorted((job.config_dir / group).rglob("*.yaml")):
            if any(looks_like_key(word) for word in file.read_text(encoding="utf-8").split()):
                raise RefusedRun(
                    f"{file} holds what looks like a key; it would travel with the job: put the key into an "
                    "environment variable of the cluster and its NAME into api_key_env"
                )
            yield file.relative_to(job.config_dir).as_posix(), file


def _files(folder: Path) -> Iterator[Path]:
    """Plain files; a link could lead out of the project."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in path.parts[-1:]):
            yield path
