"""One question to one model: checked, loaded in this process, answered as a stream of text."""

import hashlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from eval.config import InferJob
from mics_ray.assemble.checks import check_view
from mics_ray.assemble.locations import resolve_embedded
from mics_ray.config.sampling import Sampling, read_sampling
from mics_ray.config.schema import Engine, ModelConfig
from mics_ray.core.frames import label_frames
from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.checkpoint import check_checkpoint
from mics_ray.models.engine.conversation import mark_places
from mics_ray.models.engine.start_failure import explain_failure
from mics_ray.models.engine.vllm_engine import EngineDead, VllmEngine
from mics_ray.models.engine.vllm_settings import engine_args, is_cpu_build
from mics_ray.models.pictures.reading import PictureError, load_case_pictures
from mics_ray.models.pictures.windows import read_view
from mics_ray.models.prompts import check_templates, fill_intern_prompt
from mics_ray.models.types import LostCall, Pictures, Request, encode_options


@dataclass(frozen=True, slots=True)
class PreparedQuestion:
    """A checked question: how its model is served, what is asked, its pictures."""

    config: ModelConfig
    request: Request
    pictures: Pictures | None


def prepare_question(job: InferJob) -> PreparedQuestion:
    """Check the model and everything that goes to it. Raises :class:`RefusedRun` before an engine is loaded."""
    if job.serve.engine is not Engine.vllm:
        raise RefusedRun("serve.engine: infer loads a checkpoint here, engine=vllm")
    # Two of one kind would leave open which one counts.
    for name in ("temperature", "sampling"):
        if getattr(job.serve, name) is not None:
            raise RefusedRun(f"serve.{name}: the question's is `{name}`")
    if problems := check_templates(job.prompts):
        raise RefusedRun("\n".join(problems))
    if not job.question.strip():
        raise RefusedRun("question: empty")
    config = replace(job.serve, model=resolve_embedded(job.model))
    sampling = _read_draws(job)
    check_checkpoint(config.model, config.revision, config.processor_kwargs)
    try:
        engine_args(config, on_gpu=not is_cpu_build())
    except ValueError as error:
        raise RefusedRun(f"serve: {error}") from None
    pictures, images = _load_pictures_in_order(job)
    question, inline = _place_pictures(job.question, len(images))
    text = fill_intern_prompt(job.prompts, label_frames(Case("question", question, "", images)), ())
    digest, options = pictures.digest if pictures else "", encode_options(sampling=sampling, inline=inline)
    request = Request("model", job.model, "", "", text, digest, job.temperature, config.max_tokens, job.seed, options)
    return PreparedQuestion(config, request, pictures)


def _read_draws(job: InferJob) -> Sampling:
    """How tokens are drawn beside the temperature. Raises :class:`RefusedRun`, for the temperature too."""
    if not (math.isfinite(job.temperature) and job.temperature >= 0):
        raise RefusedRun(f"temperature: {job.temperature:g} is not a number from 0 on")
    if job.serve.max_tokens < 1:
        raise RefusedRun(f"serve.max_tokens: {job.serve.max_tokens} is below 1")
    try:
        return read_sampling(job.sampling)
    except ValueError as error:
        raise RefusedRun(f"sampling: {error}") from None


def _place_pictures(question: str, pictures: int) -> tuple[str, bool]:
    """The question with a mark for each ``<image>`` of it, and whether there are any.

    Raises :class:`RefusedRun` unless there are as many of them as pictures, or none.
    """
    try:
        return mark_places(question, pictures)
    except ValueError as error:
        raise RefusedRun(
            f"question: {error} in images; write one for each, in their order, or none (pictures then stand before the "
            "question)"
        ) from None


async def stream_answer(asked: PreparedQuestion) -> AsyncIterator[str]:
    """Load the model and hand its answer out part after part. Raises :class:`RefusedRun` when there is none."""
    try:
        engine = await VllmEngine.start(asked.config, on_gpu=not is_cpu_build())
    except (ValueError, RuntimeError, OSError) as error:
        raise RefusedRun(f"{asked.config.model}: {explain_failure(error, '')}; see above") from None
    try:
        async for part in engine.stream(asked.request, asked.pictures):
            yield part
    except LostCall as lost:
        raise RefusedRun(f"no answer: {lost}") from None
    except EngineDead:
        raise RefusedRun("no answer: the engine died, see above") from None
    finally:
        engine.stop()


def _load_pictures_in_order(job: InferJob) -> tuple[Pictures | None, tuple[str, ...]]:
    """The pictures in the order given, and their names; each may lie anywhere on this machine."""
    if problems := check_view(job.pictures):
        raise RefusedRun("\n".join(problems))
    given = [job.images] if isinstance(job.images, str) else list(job.images or [])
    seen, names = list[Pictures](), list[str]()
    for path in (Path(str(one)) for one in given):
        try:
            side, view = job.pictures.intern_max_side, read_view(job.pictures)
            shown, named = load_case_pictures(path.parent, [path.name], side, view)
        except PictureError as error:
            raise RefusedRun(f"images: {error} in {path.parent.absolute()}") from None
        if shown is not None:
            seen.append(shown)
            names.extend(named)
    if not seen:
        return None, ()
    together = hashlib.sha256("".join(shown.digest for shown in seen).encode())
    return Pictures(together.hexdigest(), tuple(file for shown in seen for file in shown.files)), tuple(names)
