"""Trains the tiny staff model, a mentor and a judge in one, from the tiny InternVL intern, and measures it.

``python -m mics_ray.local.training.train_staff --out DIR [--base DIR] [--lesson NAME=MINUTES]…``. Simulated mentors
and the judge are its teachers. ``DIR`` holds what vLLM and transformers load; ``metrics.json``, ``README.md`` what was
learnt and measured, the lessons of ``--base`` included.
"""

import argparse
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantom_drawing import draw_phantom
from mics_ray.local.training.intern_batches import Exercises, Pool
from mics_ray.local.training.intern_measure import complete_prompts
from mics_ray.local.training.intern_texts import Sample
from mics_ray.local.training.staff_texts import StaffPrompts, read_staff_prompts, sample_judge, sample_mentor
from mics_ray.local.training.train_interns import PROMPTS, Lesson, Settings, train_lesson

BASE = Path(__file__).parents[1] / "interns" / "internvl"
LESSONS = ("staffing=15", "judging=4")
PEAK_RATE = 1.5e-3
MENTOR_BATCH, JUDGE_BATCH = 12, 64
MEASURED = 64
_CHAIN = re.compile(r"(?:### Step \d+: .+\n\n)+### The final answer is: (\S.*)")


class StaffExercises:
    """The batches of the lessons; each method is one, ``done`` is the part of it that is over, 0 to 1."""

    def __init__(self, batches: Exercises, prompts: StaffPrompts, seed: int) -> None:
        self._batches, self._prompts, self._rng = batches, prompts, random.Random(seed)
        self._turn = 0

    def staffing(self, done: float) -> dict[str, Any]:
        """Mentors' prompts, and the judge's in every third batch."""
        self._turn += 1
        return self._batch_verdicts(0.4) if self._turn % 3 == 0 else self._batch_chains()

    def judging(self, done: float) -> dict[str, Any]:
        """The judge's prompts, at first with findings by their names alone; mentors' in every fourth batch."""
        # To compare names of many spellings is learnt only where the plain ones are told apart already.
        self._turn += 1
        return self._batch_chains() if self._turn % 4 == 0 else self._batch_verdicts(1.0 if done < 0.5 else 0.6)

    def _batch_chains(self) -> dict[str, Any]:
        return self._batches.make_batch([sample_mentor(self._prompts, self._rng) for _ in range(MENTOR_BATCH)])

    def _batch_verdicts(self, plain: float) -> dict[str, Any]:
        return self._batches.make_batch([sample_judge(self._prompts, self._rng, plain) for _ in range(JUDGE_BATCH)])


def measure_staff(model: Any, processor: Any, prompts: StaffPrompts) -> dict[str, float]:
    """Shares of well-formed chains and of those with the reference answer (temperature 1.2), and of right verdicts."""
    rng = random.Random(7_000_000_000)
    asked = [sample_mentor(prompts, rng) for _ in range(MEASURED)]
    films = [draw_phantom(item.drawn, np.random.default_rng([7, number])) for number, item in enumerate(asked)]
    texts = complete_prompts(model, processor, [item.prompt for item in asked], films, 1.2, 320, asked[0].system)
    chains = [_CHAIN.fullmatch(text.strip()) for text in texts]
    right = [
        found is not None and found[1] == FINDINGS[item.drawn].answer for found, item in zip(chains, asked, strict=True)
    ]
    return {
        "chains": sum(map(bool, chains)) / MEASURED,
        "reference answers": sum(right) / MEASURED,
        "verdicts on names": _measure_verdicts(model, processor, [sample_judge(prompts, rng, 1.0) for _ in asked * 4]),
        "verdicts": _measure_verdicts(model, processor, [sample_judge(prompts, rng) for _ in asked * 4]),
    }


def _measure_verdicts(model: Any, processor: Any, judged: list[Sample]) -> float:
    said = complete_prompts(model, processor, [item.prompt for item in judged], None, 0.0, 4)
    return sum(text.strip() == item.told for text, item in zip(said, judged, strict=True)) / len(judged)


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--lesson", action="append", metavar="NAME=MINUTES", help="of CPU time; default: all")
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    prompts, settings = read_staff_prompts(given.prompts), Settings("internvl", seed=21, pool=2000)
    model, processor = (
        AutoModelForImageTextToText.from_pretrained(given.base),
        AutoProcessor.from_pretrained(given.base),
    )
    batches = Exercises(Pool(settings.pool, settings.seed, True), processor, "", settings.batch, settings.seed, 0.0)
    exercises, lessons = StaffExercises(batches, prompts, settings.seed), _read_lessons(given.base)
    model.train()
    for name, _, minutes in (lesson.partition("=") for lesson in given.lesson or LESSONS):
        steps = train_lesson(settings, Lesson(name, float(minutes), PEAK_RATE), model, exercises)
        lessons.append({"name": name, "minutes": float(minutes), "steps": steps})
    model.eval()
    model.save_pretrained(given.out)
    processor.save_pretrained(given.out)
    metrics = {"lessons": lessons, "scores": measure_staff(model, processor, prompts)}
    (given.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    (given.out / "README.md").write_text(describe_staff(metrics), encoding="utf-8")


def _read_lessons(base: Path) -> list[dict[str, Any]]:
    """What the staff model in ``base`` has learnt; nothing where that is an intern."""
    kept = base / "metrics.json"
    lessons: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))["lessons"] if kept.exists() else []
    return lessons


def describe_staff(metrics: dict[str, Any]) -> str:
    """The README as Markdown."""
    lessons = "".join(f"| {one['name']} | {one['minutes']:g} | {one['steps']} |\n" for one in metrics["lessons"])
    scores = "".join(f"| {name} | {share:.2f} |\n" for name, share in metrics["scores"].items())
    return (
        "# The tiny staff model\n\n"
        "A mentor and a judge in one, trained by `python -m mics_ray.local.training.train_staff` from the tiny\n"
        "InternVL intern on phantoms; the simulated mentors and judge were its teachers. It exists so that a run in\n"
        "which every model is served here can be shown without a GPU. It knows no medicine: for phantoms only.\n\n"
        f"| lesson | CPU-minutes | steps |\n| --- | --- | --- |\n{lessons}\n"
        "Shares on phantoms of other seeds: well-formed chains and chains that end in the reference answer\n"
        "(temperature 1.2), verdicts as the simulated judge's on names and on names and synonyms (temperature 0).\n\n"
        f"| share of | |\n| --- | --- |\n{scores}"
    )


if __name__ == "__main__":
    main()
