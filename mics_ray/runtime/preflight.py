"""The report before a run: what is usable, what must be there, what it will take. Spends nothing."""

from collections.abc import Iterator
from itertools import islice

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mics_ray.assemble import endpoints, image_root
from mics_ray.config import Engine
from mics_ray.core.types import Case
from mics_ray.errors import EXIT_OK
from mics_ray.estimate import estimate, rounds_of
from mics_ray.io.cases import read_span
from mics_ray.models.images import PictureError, check
from mics_ray.runtime.prepare import Job

SAMPLE = 200
SHOWN = 10


def print_report(console: Console, job: Job) -> int:
    """Look at every pending case and its pictures, then print the checks and the estimate; returns the exit code."""
    problems = list(job.survey.examples)
    sample: list[Case] = []
    usable = 0
    for case in track(
        _cases(job), "looking at the pictures", total=job.survey.pending, console=console, transient=True
    ):
        try:
            for picture in case.images:
                check(image_root(job.config), picture)
        except PictureError as error:
            problems.append(f"{case.id}: {error}")
            continue
        usable += 1
        if len(sample) < SAMPLE:
            sample.append(case)
    console.print(
        f"records  {job.survey.records}, to search {usable}, will be rejected {len(problems)}", highlight=False
    )
    for problem in islice(problems, SHOWN):
        console.print(f"  {problem}", style="yellow", markup=False, highlight=False)
    console.print(_engines(job), _estimate(job, sample, usable))
    return EXIT_OK


def _cases(job: Job) -> Iterator[Case]:
    for span in job.survey.spans:
        yield from (found for found in read_span(span) if isinstance(found, Case))


def _engines(job: Job) -> Table:
    table = Table(title="models (every endpoint answered)", title_justify="left")
    for name in ("name", "served by", "model", "GPUs"):
        table.add_column(name)
    for name, entry in endpoints(job.config).items():
        key = f", key in {entry.api_key_env}" if entry.api_key_env else ""
        table.add_row(name, f"{entry.base_url}{key}", entry.model, "")
    for name, intern in job.config.interns.items():
        if intern.engine is Engine.vllm:
            gpus = f"{intern.replicas} x {intern.tensor_parallel} (none needed on a machine without GPUs)"
            table.add_row(name, "vLLM", intern.model, gpus)
    return table


def _estimate(job: Job, sample: list[Case], usable: int) -> Table:
    table = Table(title="estimate", title_justify="left", caption="assumes 4 characters a token and no cached reply")
    for name in ("rounds a case", "calls", "prompt tokens", "completion tokens", "cost"):
        table.add_column(name, justify="right")
    for name, rounds in rounds_of(job.config).items():
        lines = estimate(job.config, sample, usable, rounds)
        tokens = (sum(line.prompt_tokens for line in lines), sum(line.completion_tokens for line in lines))
        table.add_row(
            f"{name}: {rounds}",
            f"{sum(line.calls for line in lines):,.0f}",
            *(f"{count:,.0f}" for count in tokens),
            f"${sum(line.cost_usd for line in lines):,.2f}",
        )
    return table
