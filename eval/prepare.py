"""Everything of an evaluation that can be found out before Ray starts: models, items, the folder, what is done."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Formatter
from typing import Any, TypeVar

from eval.benchmarks import open_source, read_items
from eval.config import EvaluateJob
from eval.rows import ANSWERS, item_id
from eval.sets import choose_set, find_set_problems
from eval.types import Item
from mics_ray.assemble.checks import find_model_problems
from mics_ray.assemble.locations import JUDGE, resolve_embedded
from mics_ray.config.compose import dump_yaml
from mics_ray.config.context import read_context
from mics_ray.config.identity import build_identity, digest_identity, find_code_version
from mics_ray.config.schema import Config, DataConfig, Engine, ModelConfig, SearchConfig
from mics_ray.core.seeds import derive_seed
from mics_ray.errors import RefusedRun
from mics_ray.io.rows import Stamp
from mics_ray.io.shards.committed import committed_ids
from mics_ray.io.shards.kind import ShardError
from mics_ray.jobs.run_folder import RunFolder, hold_folder
from mics_ray.models.engine.adapter import fingerprint_model
from mics_ray.models.engine.checkpoint import check_checkpoint, fetch_small_files, read_tiling

M = TypeVar("M", bound=ModelConfig)

MODEL = "model"
"""The evaluated model's name among the models of the configuration."""


@dataclass(frozen=True, slots=True)
class Question:
    """An item that is to be answered, and the folder that its pictures lie under."""

    benchmark: str
    item: Item
    root: Path

    @property
    def id(self) -> str:
        """The key of its row."""
        return item_id(self.benchmark, self.item.id)


@dataclass(frozen=True, slots=True)
class Work:
    """A checked evaluation. ``config`` is the generation job that serves its models: ``model``, the judge, interns."""

    job: EvaluateJob
    config: Config
    folder: RunFolder
    stamp: Stamp
    total: int
    pending: list[Question]
    tiling: dict[str, Any]
    proven: frozenset[str] = frozenset()

    def use_config(self, served: Config, proven: frozenset[str] = frozenset()) -> "Work":
        """The same with addresses filled in, and the providers that have answered the probe."""
        return replace(self, config=served, proven=proven)


def check_job(job: EvaluateJob) -> None:
    """Refuse what cannot work before anything is loaded or written. Raises :class:`RefusedRun`, all problems in one."""
    problems = [
        problem.replace(f"interns.{MODEL}", "serve") for problem in find_model_problems(build_served_config(job))
    ]
    problems += [f"interns.{name}: a name that is taken; give it another" for name in {MODEL, JUDGE} & set(job.interns)]
    if job.serve.engine is not Engine.vllm and any(one.as_written for one in job.eval.benchmarks.values()):
        problems.append("as_written: places pictures inside questions, which goes only with serve.engine=vllm")
    if not job.eval.benchmarks:
        problems.append("eval: no benchmark chosen")
    problems += [*find_set_problems(job), *_find_judge_problems(job)]
    if job.eval.limit is not None and job.eval.limit < 1:
        problems.append(f"eval.limit: {job.eval.limit} is below 1")
    try:
        read_context(job.eval.context)
    except ValueError as error:
        problems.append(f"eval.context: {error}")
    if job.eval.temperature < 0:
        problems.append(f"eval.temperature: {job.eval.temperature} is below 0")
    if job.eval.mics_score and not (job.interns and job.search.intern_temperatures):
        problems.append("eval.mics_score: give the interns that finish from the model's chains, interns=NAME")
    if problems:
        raise RefusedRun("\n".join(problems))
    if job.serve.engine is Engine.vllm:
        check_checkpoint(resolve_embedded(job.model), job.serve.revision, job.serve.processor_kwargs)


def _find_judge_problems(job: EvaluateJob) -> list[str]:
    """What the judge would not be shown: without the question nobody can tell what "No fracture." answers."""
    try:
        shown = {name for _, name, _, _ in Formatter().parse(job.prompts.judge)}
    except ValueError:  # told with the other templates
        return []
    missing = [f"{{{name}}}" for name in ("question", "answer", "candidate") if name not in shown]
    return [f"prompts.judge: does not show the judge {', '.join(missing)}"] if missing else []


def build_served_config(job: EvaluateJob) -> Config:
    """The models of an evaluation as a generation job without mentors; the judge does not sample."""
    # How the search's interns sample is none of the evaluated model's: where its entry says nothing, so does {}.
    model = replace(job.serve, model=job.model, sampling={} if job.serve.sampling is None else job.serve.sampling)
    interns = {MODEL: model} | (job.interns if job.eval.mics_score else {})
    temperatures = job.search.intern_temperatures if job.eval.mics_score else []
    sampling = job.search.intern_sampling if job.eval.mics_score else None
    return Config(
        mentors={},
        interns=interns,
        judge=replace(job.judge, temperature=0.0),
        search=SearchConfig(intern_temperatures=temperatures, intern_sampling=sampling, judge_temperature=0.0),
        prompts=job.prompts,
        data=DataConfig(context=[]),  # an item has its own
        pictures=job.pictures,
        ray=job.ray,
        seed=job.seed,
        window=job.window,
    )


@contextmanager
def prepare_evaluation(job: EvaluateJob) -> Iterator[Work]:
    """Hold the folder, read the benchmarks, and see what is answered. Raises :class:`RefusedRun`, ``LockedRun``."""
    check_job(job)
    with hold_folder(job.eval.dir, "eval.dir") as folder:
        yield _build_work(choose_set(job), folder)


def _build_work(job: EvaluateJob, folder: RunFolder) -> Work:
    questions = [question for name in job.eval.benchmarks for question in _read_questions(job, folder, name)]
    config, checkpoint = build_served_config(job), _describe_checkpoint(job)
    view = _build_view(job, config, checkpoint, questions)
    try:
        # Rows first: those of an earlier schema are refused as such, and not for a setting that has another name.
        done = committed_ids(folder.results, ANSWERS)
        folder.bind_identity(view, dump_yaml(job) + dump_yaml({"checkpoint": checkpoint}), "eval.dir", ANSWERS)
    except ShardError as error:
        raise RefusedRun(str(error)) from None
    stamp = Stamp(job.seed, digest_identity(view), find_code_version())
    pending = [question for question in questions if question.id not in done]
    return Work(job, _use_absolute_paths(config), folder, stamp, len(questions), pending, checkpoint.get("tiling", {}))


def _read_questions(job: EvaluateJob, folder: RunFolder, name: str) -> list[Question]:
    """A benchmark's items, or a sample of them that the seed decides, in their order."""
    pictures = (folder.root / "pictures" / name).absolute()
    shown = read_context(job.eval.context)
    source = open_source(name, job.eval.benchmarks[name], job.eval.root, pictures, shown)
    found = read_items(source)
    if job.eval.limit is not None:
        # Sorted by a hash of the id: the sample stays the same when items are added elsewhere in the file.
        drawn = sorted(found, key=lambda item: derive_seed(job.seed, "sample", name, item.id))[: job.eval.limit]
        chosen = {item.id for item in drawn}
        found = [item for item in found if item.id in chosen]
    return [Question(name, item, source.picture_root) for item in found]


def _describe_checkpoint(job: EvaluateJob) -> dict[str, Any]:
    """What the model's files say of themselves; nothing of a model behind an API."""
    if job.serve.engine is not Engine.vllm:
        return {}
    folder = fetch_small_files(resolve_embedded(job.model), job.serve.revision)
    found = {"files": fingerprint_model(folder), "tiling": read_tiling(folder)}
    return found | ({"adapter": fingerprint_model(Path(job.serve.adapter))} if job.serve.adapter else {})


def _build_view(
    job: EvaluateJob, config: Config, checkpoint: dict[str, Any], questions: list[Question]
) -> dict[str, Any]:
    """What decides the answers, in dotted names. The place of the items is none of it, their words are."""
    view = build_identity(config, "")
    # There is no file of cases; the items' words take its place below.
    del view["data.sha256"]
    for name in ("temperature", "limit", "mics_score", "bert_score_model", "bert_score_layers"):
        view[f"eval.{name}"] = getattr(job.eval, name)
    for name in job.eval.benchmarks:
        texts = [asdict(question.item) for question in questions if question.benchmark == name]
        view[f"split.{name}"] = job.eval.benchmarks[name].split
        view[f"items.{name}"] = hashlib.sha256(json.dumps(texts, default=str).encode()).hexdigest()
    return view | {f"checkpoint.{name}": json.dumps(value, sort_keys=True) for name, value in checkpoint.items()}


def _use_absolute_paths(config: Config) -> Config:
    """The same with models that are folders by absolute path: actors may run in another directory."""
    judge = _make_absolute(config.judge) if config.judge.engine is Engine.vllm else config.judge
    return replace(config, judge=judge, interns={name: _make_absolute(one) for name, one in config.interns.items()})


def _make_absolute(entry: M) -> M:
    model, adapter = Path(resolve_embedded(entry.model)), entry.adapter
    return replace(
        entry,
        model=str(model.absolute()) if model.is_dir() else entry.model,
        adapter=None if adapter is None else str(Path(adapter).absolute()),
    )
