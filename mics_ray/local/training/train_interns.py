"""Trains the two tiny interns from random weights on phantoms, and measures them.

``python -m mics_ray.local.training.train_interns --out DIR [--form internvl|qwen25vl]``: each form is one process
with its share of the cores. Both learn to answer; the InternVL form, which the loop fine-tunes, to describe films and
to write chains too. ``DIR/<form>`` holds what vLLM and transformers load; ``metrics.json`` and ``README.md`` hold the
settings and what was measured.
"""

import argparse
import hashlib
import json
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from mics_ray.local.training.intern_batches import Exercises, Pool, loss_and_hits
from mics_ray.local.training.intern_measure import MEASURED, OTHER_PICTURE, TEMPERATURES, measure_kind
from mics_ray.local.training.intern_models import FORMS, Form, make_model, make_processor, make_tokenizer
from mics_ray.local.training.intern_report import render_interns
from mics_ray.local.training.intern_texts import make_corpus, read_template

PROMPTS = Path("conf/prompts/default.yaml")


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learnt for so many minutes of CPU time: the name of a method of :class:`Exercises`, one cosine of the
    learning rate."""

    name: str
    minutes: float
    peak_rate: float


ANSWERING = Lesson("answering", 8.0, 2e-3)
LESSONS: dict[Form, tuple[Lesson, ...]] = {
    "internvl": (ANSWERING, Lesson("describing", 24.0, 2e-3), Lesson("writing", 28.0, 1.5e-3)),
    "qwen25vl": (ANSWERING,),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How one intern is trained. ``picture_share``: the part of answering that is spent on pictures without words."""

    form: Form
    seed: int
    picture_share: float = 0.35
    pool: int = 6000
    batch: int = 32
    warm_up: float = 0.03
    measured: int = 240
    threads: int = 1


def train_lesson(settings: Settings, lesson: Lesson, model: Any, exercises: object) -> int:
    """Train for the lesson's CPU time and return the number of steps; ``exercises`` has the method that it names."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lesson.peak_rate, weight_decay=0.01, betas=(0.9, 0.98))
    # CPU time, not the clock: a busy machine takes longer but learns as much.
    start, steps, shown, hits = time.process_time(), 0, 0.0, 0.0
    while (done := (time.process_time() - start) / (60 * lesson.minutes)) < 1:
        # Linear warm-up, then a cosine; the small constant keeps the first and the last steps from being no steps.
        rate = lesson.peak_rate * min(done / settings.warm_up, 0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, hit = loss_and_hits(model, getattr(exercises, lesson.name)(done))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps, hits = steps + 1, 0.95 * hits + 0.05 * hit
        if done > shown:
            print(
                f"{settings.form} {lesson.name} {done:4.0%} step {steps} loss {loss.item():.3f} right {hits:.2f}",
                flush=True,
            )
            shown += 0.04
    return steps


def measure_all(settings: Settings, model: Any, processor: Any, template: str) -> dict[str, Any]:
    """Scores by kind of prefix, then by temperature."""
    torch.manual_seed(0)
    return {
        kind: {
            str(t): asdict(measure_kind(model, processor, template, kind, t, settings.measured)) for t in TEMPERATURES
        }
        for kind in (*MEASURED, OTHER_PICTURE)
    }


def make_intern(settings: Settings, template: str, out: Path) -> dict[str, Any]:
    """Train one intern, save it under ``out/<form>``, and return its settings, its size and its scores."""
    torch.set_num_threads(settings.threads)
    tokenizer = make_tokenizer(settings.form, make_corpus(template, 3000, settings.seed))
    processor = make_processor(settings.form, tokenizer)
    model = make_model(settings.form, tokenizer, settings.seed)
    pool = Pool(settings.pool, settings.seed, faint=len(LESSONS[settings.form]) > 1)
    exercises = Exercises(pool, processor, template, settings.batch, settings.seed, settings.picture_share)
    model.train()
    steps = {lesson.name: train_lesson(settings, lesson, model, exercises) for lesson in LESSONS[settings.form]}
    model.eval()
    folder = out / settings.form
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return {
        "settings": asdict(settings),
        "lessons": [asdict(lesson) for lesson in LESSONS[settings.form]],
        "steps": steps,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "weight_bytes": (folder / "model.safetensors").stat().st_size,
        "scores": measure_all(settings, model, processor, template),
    }


def measure_again(form: Form, template: str, out: Path) -> dict[str, Any]:
    """The scores of the weights that lie in ``out/<form>``, on phantoms as they are drawn today."""
    torch.set_num_threads(1)
    model = AutoModelForImageTextToText.from_pretrained(out / form).eval()
    return measure_all(Settings(form, seed=0), model, AutoProcessor.from_pretrained(out / form), template)


def main() -> None:
    """Train the forms asked for side by side, or measure them again, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--form", choices=FORMS, action="append")
    parser.add_argument("--measure", action="store_true", help="train nothing, measure the weights in --out again")
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    given = parser.parse_args()
    template = read_template(given.prompts, "intern")
    forms = given.form or FORMS
    threads = max(1, len(os.sched_getaffinity(0)) // len(forms))
    # Seeds by the form's place in FORMS, whichever forms are asked for.
    plans = [Settings(form, seed=11 + FORMS.index(form), threads=threads) for form in forms]
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "metrics.json"
    interns = json.loads(kept.read_text(encoding="utf-8"))["interns"] if kept.exists() else {}
    # Spawned: a forked child can hang on the thread pools that torch started in its parent.
    with ProcessPoolExecutor(len(plans), mp_context=get_context("spawn")) as workers:
        if given.measure:
            scores = {plan.form: workers.submit(measure_again, plan.form, template, given.out) for plan in plans}
            interns |= {form: interns[form] | {"scores": result.result()} for form, result in scores.items()}
        else:
            running = {plan.form: workers.submit(make_intern, plan, template, given.out) for plan in plans}
            interns |= {form: result.result() for form, result in running.items()}
    digest = hashlib.sha256(template.encode()).hexdigest()
    metrics = {"prompt_sha256": digest, "interns": interns}
    kept.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    (given.out / "README.md").write_text(render_interns(metrics), encoding="utf-8")


if __name__ == "__main__":
    main()
