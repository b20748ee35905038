"""What a person sees while a model is evaluated, and at the end."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.config import EvaluateJob
from eval.prepare import Work
from eval.reports.markdown import format_interval, format_percent
from mics_ray.config.schema import Engine
from mics_ray.core.types import Verdict
from mics_ray.runtime.monitor.progress import format_clock

COLOURS = {Verdict.RIGHT: "green", Verdict.WRONG: "yellow", Verdict.UNKNOWN: "red"}


def progress_line(total: int, before: int, verdicts: Mapping[str, int], running: int, seconds: float) -> Text:
    """Items done, verdicts of this session, rate and time left, in one line."""
    here = sum(verdicts.values())
    text = Text(f"{before + here}/{total} items  ")
    for verdict, colour in COLOURS.items():
        if count := verdicts.get(verdict, 0):
            text.append(f"{verdict} {count}  ", colour)
    text.append(f"open {running}")
    if here and seconds:
        text.append(f"  {here / seconds:.1f}/s  {format_clock((total - before - here) * seconds / here)} left")
    return text


def print_evaluation(console: Console, work: Work, report: Mapping[str, Any]) -> None:
    """The account of every benchmark, how pictures were cut, and where the files lie."""
    table = Table(title=str(report["model"]), title_justify="left")
    table.add_column("benchmark", no_wrap=True)
    for name in ("items", "lenient", "95 % interval", "strict", "parse rate", "form kept", "lost"):
        table.add_column(name, justify="right")
    for name, found in report["benchmarks"].items():
        rates = [format_percent(found[rate]) for rate in ("strict", "parse_rate", "form_rate")]
        shares = [format_percent(found["accuracy"]), format_interval(found), *rates]
        table.add_row(name, str(found["items"]), *shares, str(found["lost"]))
    console.print(table)
    if note := warn_of_tiling(work.job, work.tiling):
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    root = work.folder.root
    console.print(f"rows     {work.folder.results}/part-*.parquet", highlight=False, soft_wrap=True)
    console.print(
        f"report   {root}/report.md, .json, .png   config  {root}/config.yaml", highlight=False, soft_wrap=True
    )


def warn_of_tiling(job: EvaluateJob, tiling: Mapping[str, Any]) -> str:
    """A warning where tiles and pixels are the checkpoint's own: a tuned one may have been saved with others."""
    if job.serve.engine is not Engine.vllm or job.serve.processor_kwargs or not tiling:
        return ""
    shown = ", ".join(f"{name}={value}" for name, value in tiling.items() if name != "size")
    return f"serve.processor_kwargs is not set: pictures were cut as the checkpoint says ({shown}); set it to compare"
