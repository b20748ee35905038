"""How a job ended: the exit code of the program, and a line for the person who started it."""

from dataclasses import dataclass

from mics_ray.core.types import Failure
from mics_ray.errors import EXIT_CANNOT_WRITE, Stopped, find_exit_code
from mics_ray.models.types import Refused

ENDS = (Stopped, Refused, OSError)
"""What ends a job that had begun, with all that it has done kept. Any other error is one of ours."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """``message`` is empty where everything is done; ``seconds`` are those of the work itself."""

    code: int
    message: str
    seconds: float = 0.0


def describe_end(error: Stopped | Refused | OSError, seconds: float = 0.0) -> JobEnd:
    """The end of a job that a stop, a refusing provider or a full disk ended."""
    if isinstance(error, Stopped):
        return JobEnd(error.code, str(error), seconds)
    if isinstance(error, Refused):
        return JobEnd(find_exit_code(error.failure.kind), describe_refusal(error.failure), seconds)
    place = f" ({error.filename})" if error.filename else ""
    return JobEnd(EXIT_CANNOT_WRITE, f"cannot write results: {error.strerror}{place}", seconds)


def describe_refusal(failure: Failure) -> str:
    """What a provider refused or where no reply can be kept, and how one goes on."""
    more = "the same command with more budget_usd" if failure.kind == "budget" else "the same command"
    return f"{failure}; what was paid is kept, {more} goes on"
