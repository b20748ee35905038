"""Small folders of evaluations, as evaluate.py leaves them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from eval.rows import ANSWERS, answer_row
from eval.types import Answered, Item, Kind
from mics_ray.core.types import Failure, Usage, Verdict
from mics_ray.io.rows import Stamp
from mics_ray.io.shards.store import ShardStore

VERDICTS = {
    "r": Verdict.RIGHT, "l": Verdict.RIGHT, "w": Verdict.WRONG, "n": Verdict.WRONG, "u": Verdict.UNKNOWN,
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "model": "base",
    "serve": {
        "model": "base",
        "max_tokens": 192,
        "adapter": None,
        "processor_kwargs": {"max_patches": 6},
        "replicas": 1,
    },
    "judge": {"model": "judge-1", "base_url": "local", "temperature": 0.0},
    "prompts": {
        "intern": "Q: {question} | {prefix} {next_step} ### The final answer is:",
        "judge": "a long wording " * 10,
    },
    "pictures": {"intern_max_side": 2048},
    "seed": 0,
    "eval": {
        "temperature": 0.0,
        "benchmarks": {
            "slake": {
                "reader": "slake",
                "in_domain": True,
                "split": "test",
                "paper": {"InternVL3-2B": 65.9, "Chiron-o1-2B": 85.3},
                "paper_set": {"split": "test", "kind": "closed", "topic": None, "items": 3, "note": ""},
            },
            "medxpertqa_mm": {
                "reader": "medxpertqa_mm",
                "split": "test",
                "paper": {"Chiron-o1-2B": 19.8},
                "paper_set": {"split": "test", "kind": None, "topic": "Reasoning", "items": 3, "note": ""},
            },
        },
    },
}


def answered(benchmark: str, number: int, verdict: str, **item: Any) -> Answered:
    """One item: r right, l right without the form, w wrong, n no answer, u lost. Two share a picture."""
    made = Item(
        **{
            "id": str(number),
            "kind": Kind.OPEN,
            "question": f"Question {number}?",
            "answer": f"gold {number}",
            "images": (f"{number // 2}.png",),
            "cluster": f"{number // 2}.png",
        }
        | item
    )
    said = "" if verdict in "nu" else f"gold {number}" if verdict in "rl" else "other"
    lost = Failure("timeout", "after 300 s") if verdict == "u" else None
    output = "" if verdict == "u" else said if verdict == "l" else f"### The final answer is: {said}"
    judge, form = "yes" if verdict in "rl" else "no", None if verdict == "u" else verdict in "rw"
    unread = "no answer" if verdict == "n" else ""
    return Answered(made, benchmark, output, said, VERDICTS[verdict], judge, lost, form, unread)


def evaluation(folder: Path, items: Iterable[Answered], config: dict[str, Any] | None = None, **scores: Any) -> Path:
    """Write the folder; ``scores`` are those of every row."""
    stamp = Stamp(0, "digest", "0.1.0")
    rows = [answer_row(one, "prompt", Usage(1, 0, 10, 20, 0.0), 1.5, stamp, **scores) for one in items]
    ShardStore(folder / "results", ANSWERS).commit(rows)
    (folder / "config.yaml").write_text(yaml.safe_dump(config or CONFIG, sort_keys=False))
    return folder


def of(benchmark: str, verdicts: str, **item: Any) -> list[Answered]:
    """One item per letter."""
    return [answered(benchmark, number, verdict, **item) for number, verdict in enumerate(verdicts)]
