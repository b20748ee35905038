"""The programs `export` and `train`: from a command line to an exit code."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mics_ray.command_line import JobCommand, run_job
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK
from train.config import TrainJob
from train.export.config import ExportJob

EXPORT = (
    "Export searched chains to training data: InternVL records in stages, pairs, process rewards, chat, a hub folder."
)
TRAIN = "Fine-tune an intern on exported chains: LoRA by InternVL's own trainer, or by transformers and peft under Ray."


def run_train(argv: Sequence[str]) -> int:
    """Compose, check, train; returns the exit code."""
    from train.launch import launch_training

    return run_job(argv, TRAIN, JobCommand("train", TrainJob, launch_training, "train.dir"))


def run_export(argv: Sequence[str]) -> int:
    """Compose, check, export; returns the exit code."""
    return run_job(argv, EXPORT, JobCommand("export", ExportJob, write_export, "export.dir"))


def write_export(job: ExportJob) -> int:
    """Write the export that ``job`` describes, and show what it holds. Raises :class:`RefusedRun`."""
    # Imported here, so that a wrong command line is answered before the readers and writers are loaded.
    from train.export.export import write_export

    try:
        report = write_export(job)
    except OSError as error:
        where = error.filename or job.export.dir
        Console(stderr=True, soft_wrap=True).print(f"cannot write {where}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    _print_report(job.export.dir, report)
    return EXIT_OK


def _print_report(folder: str, report: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    table = Table(title=f"export of {report['kept'] + sum(report['dropped'].values())} rows", show_header=False)
    table.add_row("kept", _list_counts(report["split"]))
    table.add_row("left out", _list_counts(report["dropped"]) or "nothing")
    table.add_row("pictures", _list_counts(report["pictures"]))
    table.add_row("tokens", _list_counts(report["tokens"]))
    for stage in report["stages"]:
        table.add_row(f"stage {stage['name']}", f"{stage['samples']} samples: {', '.join(stage['sets'])}")
    table.add_row("files", _list_counts(report["files"]))
    console.print(table)
    for note in report["notes"]:
        console.print(f"note: {note}", style="yellow", markup=False)
    console.print(f"report  {folder}/report.md", markup=False, soft_wrap=True)


def _list_counts(found: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())
