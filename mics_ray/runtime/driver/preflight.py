"""The report before a run: what is usable, what must be there, what it will take. Spends nothing."""

from collections.abc import Sequence
from itertools import islice

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mics_ray.assemble.estimate import count_rounds, estimate_job
from mics_ray.assemble.locations import JUDGE, list_endpoints, list_served, locate_cases, locate_images
from mics_ray.assemble.picture_survey import PictureSurvey
from mics_ray.config.keys import list_key_names
from mics_ray.config.schema import Config
from mics_ray.core.display import make_one_line
from mics_ray.core.types import Case
from mics_ray.io.cases import RecordPlace, Rejection
from mics_ray.io.records.unread import count_unread_keys, describe_unread
from mics_ray.jobs.generation import GenerationJob
from mics_ray.runtime.driver.cluster import join_cluster
from mics_ray.runtime.serving.model_actors import plan_placement
from mics_ray.runtime.serving.model_checks import check_models
from mics_ray.runtime.serving.placement import ReplicaNeed

SAMPLE = 200  # cases whose length the estimate is made from
SHOWN = 10


def print_report(console: Console, job: GenerationJob) -> None:
    """Look at every pending case, its pictures and the cluster, then print what was found and the estimate.

    Raises :class:`RefusedRun` when the cluster cannot hold the models, or a node of it lacks what serves one.
    """
    with join_cluster(job.config.ray):
        wanted, on_gpu = plan_placement(job.config)
        absent = check_models(job.config, wanted, on_gpu)
    problems, sample, usable = list[str](), list[Case](), 0
    pictures = PictureSurvey(locate_images(job.config), job.config.pictures)
    records = track(job.iter_pending(), "looking at the pictures", total=job.pending, console=console, transient=True)
    for place, case in records:
        if problem := _find_problem(pictures, place, case):
            problems.append(problem)
            continue
        usable += 1
        if isinstance(case, Case) and len(sample) < SAMPLE:
            sample.append(case)
    console.print(f"{job.records} records, {usable} to search", highlight=False)
    for problem in islice(problems, SHOWN):
        console.print(f"  will be rejected: {make_one_line(problem)}", style="yellow", markup=False, highlight=False)
    if len(problems) > SHOWN:
        console.print(f"  and {len(problems) - SHOWN} more", style="yellow", highlight=False)
    if unread := describe_unread(count_unread_keys(locate_cases(job.config))):
        console.print(f"  {unread}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    _report_pictures(console, job, pictures)
    if absent:
        said = f"{', '.join(absent)}: no node with GPUs is there yet; the files are looked at when one is"
        console.print(f"  {said}", style="yellow", markup=False, highlight=False)
    console.print(_models_table(job.config, wanted), _estimate_table(job, sample, usable))


def _find_problem(pictures: PictureSurvey, place: RecordPlace, found: Case | Rejection) -> str | None:
    if isinstance(found, Rejection):
        return f"{found.id}: {found.reason}"
    return pictures.inspect_case(place, found)


def _report_pictures(console: Console, job: GenerationJob, pictures: PictureSurvey) -> None:
    for line in pictures.describe():
        console.print(f"  {line}", style="yellow", markup=False, highlight=False)
    if (sheet := pictures.draw()) is not None:
        path = job.folder.contact_sheet
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sheet)
        console.print(f"the pictures as models will see them: {path}", markup=False, highlight=False, soft_wrap=True)


def _models_table(config: Config, wanted: Sequence[ReplicaNeed]) -> Table:
    table = Table(title="models: every endpoint answered, the cluster has room and the files", title_justify="left")
    for name in ("name", "model", "served by"):
        table.add_column(name)
    for name, entry in list_endpoints(config).items():
        names = list_key_names(entry)
        sent = f" with {', '.join(names)}" if names else ""
        seen = "" if name == JUDGE or entry.sees_pictures else ", text only: sees_pictures is false"
        table.add_row(name, entry.model, f"{entry.base_url}{sent}{seen}")
    for need in wanted:
        place = f"{need.gpus * need.stages:g} GPUs each" if need.gpus else "on the CPU"
        count = f"{need.replicas}" if need.limit == need.replicas else f"{need.replicas} to {need.limit}"
        table.add_row(need.entry, list_served(config)[need.entry].model, f"vLLM, {count} x, {place}")
    return table


def _estimate_table(job: GenerationJob, sample: list[Case], usable: int) -> Table:
    table = Table(title="estimate", title_justify="left", caption="assumes 4 characters a token and no cached reply")
    for name in ("rounds a case", "calls", "prompt tokens", "completion tokens", "cost"):
        table.add_column(name, justify="right")
    for name, rounds in count_rounds(job.config).items():
        lines = estimate_job(job.config, sample, usable, rounds)
        tokens = (sum(line.prompt_tokens for line in lines), sum(line.completion_tokens for line in lines))
        table.add_row(
            f"{name}: {rounds}",
            f"{sum(line.calls for line in lines):,.0f}",
            *(f"{count:,.0f}" for count in tokens),
            f"${sum(line.cost_usd for line in lines):,.2f}",
        )
    return table
