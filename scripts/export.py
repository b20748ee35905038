"""Export searched chains to training data: InternVL records in stages, pairs, process rewards, chat, a hub folder."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mics_ray.command_line import ending, parse
from mics_ray.config.compose import compose_job
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK

if __name__ == "__main__":
    # This file's folder comes first on the path, and its programs would stand for packages of the same name.
    sys.path.pop(0)

from train.export.config import ExportJob


def main(argv: Sequence[str]) -> int:
    """Compose, check, export; returns the exit code."""
    command = parse(argv, __doc__ or "", "export")
    return ending(lambda: run(compose_job("export", ExportJob, command.overrides, command.config_dir)))


def run(job: ExportJob) -> int:
    """Write the export that ``job`` describes."""
    from train.export.export import export

    try:
        report = export(job)
    except OSError as error:
        where = error.filename or job.export.dir
        Console(stderr=True).print(f"cannot write {where}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    _show(job.export.dir, report)
    return EXIT_OK


def _show(folder: str, report: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table(title=f"export of {report['kept'] + sum(report['dropped'].values())} rows", show_header=False)
    table.add_row("kept", _counts(report["split"]))
    table.add_row("left out", _counts(report["dropped"]) or "nothing")
    table.add_row("pictures", _counts(report["pictures"]))
    table.add_row("tokens", _counts(report["tokens"]))
    for stage in report["stages"]:
        table.add_row(f"stage {stage['name']}", f"{stage['samples']} samples: {', '.join(stage['sets'])}")
    table.add_row("files", _counts(report["files"]))
    console.print(table)
    for note in report["notes"]:
        console.print(f"note: {note}", style="yellow", markup=False)
    console.print(f"report  {folder}/report.md", markup=False, soft_wrap=True)


def _counts(found: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
