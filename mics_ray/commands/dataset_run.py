"""A run whose cases are a Ray Dataset of the user's own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mics_ray.config.schema import Config
from mics_ray.errors import RefusedRun

CASES_FILE = "dataset.parquet"
"""In the run's folder: the cases, so that the run can be gone on with, verified and exported like any other."""
ROWS = 128
"""Of a row group: one picture is read with its group's page."""


def generate(dataset: Any, config: Config | Sequence[str], config_dir: str | Path | None = None) -> int:
    """Search every record of a Ray Dataset; returns the exit code of ``mics generate``.

    ``dataset`` has the columns of a record (``rid``, ``messages``, ``images``, …; docs/input.md). It is executed once,
    a batch at a time, in its order, into ``run.dir/dataset.parquet``. ``images`` holds pictures (bytes), or paths
    relative to ``data.image_root``. ``config`` is a configuration or the arguments of ``mics generate``, without
    ``data.cases``; ``config_dir`` is the folder of the user's own group files. The Ray that the process is connected to
    is used and left.

    Raises :class:`mics_ray.errors.RefusedRun` for what cannot be run, and where the folder has other records.
    """
    # What a user imports must not load what a command needs.
    from mics_ray.commands import generate as command
    from mics_ray.config.compose import compose_config

    folder = Path(config_dir) if config_dir is not None else None
    given = config if isinstance(config, Config) else compose_config([*config, f"data.cases={CASES_FILE}"], folder)
    cases = Path(given.run.dir).absolute() / CASES_FILE
    _keep_records(given, cases, dataset)
    return command.generate(replace(given, data=replace(given.data, cases=str(cases))))


def _keep_records(config: Config, cases: Path, dataset: Any) -> None:
    from mics_ray.io.dataset_file import write_records
    from mics_ray.io.input_files import InputError, InputFile
    from mics_ray.io.scan import hash_files
    from mics_ray.jobs.run_folder import hold_folder

    with hold_folder(config.run.dir, "run.dir"):
        fresh = cases.with_name(f"fresh-{CASES_FILE}")
        try:
            if not write_records(fresh, _iter_tables(dataset)):
                raise InputError("dataset: holds no records; it should hold at least one")
            digests = [hash_files([InputFile(str(path), path.name)]) for path in (fresh, cases) if path.exists()]
            if len(set(digests)) > 1:
                raise InputError(f"run.dir: {config.run.dir} was begun with other records; name another folder")
            fresh.replace(cases)
        except InputError as error:
            raise RefusedRun(str(error)) from None
        finally:
            fresh.unlink(missing_ok=True)


def _iter_tables(dataset: Any) -> Iterator[Any]:
    # The Dataset's own context: records are numbered in their order, which has to be the same in every start.
    dataset.context.execution_options.preserve_order = True
    return iter(dataset.iter_batches(batch_size=ROWS, batch_format="pyarrow"))
