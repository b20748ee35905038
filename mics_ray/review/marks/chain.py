"""The chain that a reviewer sees: the kept one of a row, each step with who wrote it and what it scored."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mics_ray.core.types import KEPT_OUTCOMES
from mics_ray.review.marks.mark import Target

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChainStep:
    """A step of a kept chain. ``node`` is the candidate whose step it is; ``None`` for a closing step, which the mentor
    of the last candidate wrote after it and which no intern was scored on."""

    number: int
    text: str
    mentor: str
    node: Mapping[str, Any] | None


def has_chain(row: Row) -> bool:
    """Whether a row keeps a chain, which is what people review."""
    return row["outcome"] in KEPT_OUTCOMES and bool(row["steps"])


def digest_chain(row: Row) -> str:
    """What a mark is about: question, gold answer, steps and final answer, as ``c`` and 16 hex digits.

    The letter keeps a spreadsheet from taking it for a number.
    """
    told = [row["question"], row["answer"], list(row["steps"]), row["final_answer"]]
    return f"c{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"


def list_targets(row: Row) -> list[Target]:
    """The steps of a row's chain and, last, the chain itself."""
    digest = digest_chain(row)
    steps: list[int | None] = list(range(1, len(row["steps"]) + 1))
    return [Target(row["case_id"], digest, step) for step in [*steps, None]]


def list_chosen(row: Row) -> list[Mapping[str, Any]]:
    """The chosen candidates of the attempt that decided, the first round first."""
    return [node for node in row["nodes"] if node["chosen"] and node["attempt"] == row["attempts"]]


def list_steps(row: Row) -> list[ChainStep]:
    """The steps of a row's kept chain."""
    chosen = list_chosen(row)
    owners: list[Mapping[str, Any]] = [node for node in chosen for _ in node["steps"]]
    closing = chosen[-1]["mentor"] if chosen else "unknown"
    return [
        ChainStep(at + 1, text, owners[at]["mentor"] if at < len(owners) else closing,
                  owners[at] if at < len(owners) else None)
        for at, text in enumerate(row["steps"])
    ]  # fmt: skip
