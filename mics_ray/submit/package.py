"""The working directory of a submitted job: the code and the group files, and nothing else of this machine.

An allow-list decides, so that data, weights, results, environments and secrets stay here whatever they are called.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mics_ray.config.compose import CONF, list_groups, looks_like_key
from mics_ray.errors import RefusedRun
from mics_ray.submit.job import SubmittedJob

ROOT = CONF.parent
CODE = ("mics_ray", "train", "eval", "scripts", "conf")
SUFFIXES = frozenset({".py", ".yaml"})
GROUP_FILES = "submitted_conf"
"""Where the user's own group files lie in the package."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a ZIP file can hold; a real one would change the name


def pack_job(job: SubmittedJob, folder: Path) -> Path:
    """Write the package of ``job`` into ``folder``; the same content gives the same file. Raises
    :class:`RefusedRun` where a group file holds what looks like a key."""
    content = _zip_contents(job)
    path = folder / _name_package(content)
    path.write_bytes(content)
    return path


def package_name(job: SubmittedJob) -> str:
    """The file name that :func:`pack_job` would give the package; nothing is written."""
    return _name_package(_zip_contents(job))


def _zip_contents(job: SubmittedJob) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, file in sorted(list_contents(job)):
            package.writestr(zipfile.ZipInfo(name, _EPOCH), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _name_package(content: bytes) -> str:
    # Named by its content: Ray uploads a package of the same name once.
    return f"{hashlib.sha256(content).hexdigest()[:16]}.zip"


def list_contents(job: SubmittedJob) -> Iterator[tuple[str, Path]]:
    """Names in the package and the files that they come from. Raises as :func:`find_group_files` does."""
    for top in CODE:
        for file in _plain_files(ROOT / top):
            if file.suffix in SUFFIXES:
                yield file.relative_to(ROOT).as_posix(), file
    # The project's own small models and cases, where the job asks for them by name.
    for name in job.embedded:
        place = ROOT / "mics_ray/local" / name
        for file in _plain_files(place if place.is_dir() else place.parent):
            if file.suffix not in SUFFIXES:
                yield file.relative_to(ROOT).as_posix(), file
    for name, file in find_group_files(job):
        yield f"{GROUP_FILES}/{name}", file


def find_group_files(job: SubmittedJob) -> Iterator[tuple[str, Path]]:
    """The user's own group files: names below the ``--config-dir``, and the files. Raises :class:`RefusedRun`
    where one holds what looks like a key."""
    if job.config_dir is None:
        return
    for group in list_groups(job.program):
        for file in sorted((job.config_dir / group).rglob("*.yaml")):
            if any(looks_like_key(word) for word in file.read_text(encoding="utf-8").split()):
                raise RefusedRun(
                    f"{file} holds what looks like a key; it would travel with the job: put the key into an "
                    "environment variable of the cluster and its NAME into api_key_env or headers_env"
                )
            yield file.relative_to(job.config_dir).as_posix(), file


def _plain_files(folder: Path) -> Iterator[Path]:
    """Plain files; a link could lead out of the project."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in path.parts[-1:]):
            yield path
