"""How a job ended: the exit code of the program, and a line for the person who started it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mics_ray.config.schema import ModelConfig
from mics_ray.errors import EXIT_CANNOT_WRITE, Stopped, find_exit_code
from mics_ray.models.participation import Participation
from mics_ray.models.types import Refused

ENDS = (Stopped, Refused, OSError)
"""What ends a job that had begun, with all that it has done kept. Any other error is one of ours."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """``message`` is empty where everything is done; ``seconds`` are those of the work itself.

    ``attendance``: of a search, by model, the calls that were answered and lost.
    """

    code: int
    message: str
    seconds: float = 0.0
    attendance: Mapping[str, Participation] = field(default_factory=dict)


def describe_end(
    error: Stopped | Refused | OSError, entries: Mapping[str, ModelConfig] | None = None, seconds: float = 0.0
) -> JobEnd:
    """The end of a job that a stop, a refusing provider or a full disk ended. ``entries`` are the job's models."""
    if isinstance(error, Stopped):
        return JobEnd(error.code, str(error), seconds)
    if isinstance(error, Refused):
        return JobEnd(find_exit_code(error.failure.kind), describe_refusal(error, entries or {}), seconds)
    # `strerror` and not the error's text, which may quote what was written.
    place = f" ({error.filename})" if error.filename else ""
    return JobEnd(EXIT_CANNOT_WRITE, f"cannot write results: {error.strerror}{place}", seconds)


def describe_refusal(refused: Refused, entries: Mapping[str, ModelConfig]) -> str:
    """Which model was refused what, or where no reply can be kept, and how one goes on."""
    more = "the same command with more budget_usd" if refused.failure.kind == "budget" else "the same command"
    who = describe_model(refused.entry, entries[refused.entry]) + ": " if refused.entry in entries else ""
    return f"{who}{refused.failure}; what was paid is kept, {more} goes on"


def describe_model(name: str, entry: ModelConfig) -> str:
    """An entry's name, its model and where that is reached."""
    return f"{name} (model {entry.model}, {entry.base_url or 'served by this run'})"
