"""The training sample: what every written form of an export is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One kept row as a training sample. All texts but those in ``nodes`` are safe for trainers (see ``safe_text``).

    ``id`` is unique over all runs: the case id, with the run's name behind it where two runs keep the same case id.
    ``prompt`` is what the model is asked, without picture placeholders; ``completion`` the chain. ``images`` are paths
    as exported: relative to the export, or absolute for a picture referenced where it lies. ``score`` is that of the
    last chosen step, in [0, 1]. ``nodes`` are the row's candidates of all attempts, raw as in the row schema, but
    without the votes' texts. ``tokens`` is the measured length.
    """

    id: str
    case_id: str
    patient: str
    run: str
    prompt: str
    question: str
    answer: str
    steps: tuple[str, ...]
    final_answer: str
    completion: str
    images: tuple[str, ...]
    outcome: str
    quality: str
    score: float
    rounds: int
    mentors: tuple[str, ...]
    nodes: tuple[Mapping[str, Any], ...]
    config_digest: str
    tokens: int
