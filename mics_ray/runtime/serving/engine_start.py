"""Engines load, and each answers the largest cases' first requests, before a run pays for anything."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from mics_ray.assemble.trial import Trial
from mics_ray.core.display import make_one_line
from mics_ray.core.types import Failure
from mics_ray.errors import RefusedRun

ANSWER_S = 600.0
"""How long an engine may take for its trial requests."""
POLL_S = 0.5
_OF_SIZE = ("too_long", "picture_limit")
_Answer = tuple[Trial, str, Failure | None]


class LostEngine(RefusedRun):
    """An engine did not load: it cannot, or its process or its node ended."""


def await_engines(replicas: Mapping[str, Sequence[Any]], look_up: Callable[[], None], logs: str) -> None:
    """Wait until every replica has loaded; ``look_up`` is called meanwhile, and may raise.

    Raises :class:`LostEngine` with the entry and the folder of the ``logs`` as soon as one fails.
    """
    loading = {replica.ready.remote(): entry for entry, handles in replicas.items() for replica in handles}
    left = list(loading)
    while left:
        done, left = ray.wait(left, timeout=POLL_S)
        for one in done:
            try:
                ray.get(one)
            except RayError as error:
                raise LostEngine(f"{_describe_error(error, loading[one])}; see {logs}") from None
        look_up()


def _describe_error(error: RayError, entry: str) -> str:
    """What went wrong while engines load, when no text of a case is near."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, RefusedRun):
        return str(cause)
    said = str(cause).strip().partition("\n")[0]
    return make_one_line(f"{entry}: its engine did not start ({type(cause).__name__}: {said[:200]})")


def try_engines(trials: Sequence[Trial], replicas: Mapping[str, Sequence[Any]], look_up: Callable[[], None]) -> None:
    """Have every replica answer its model's ``trials``; ``look_up`` is called meanwhile, and may raise.

    Raises :class:`RefusedRun` with model, node, case and numbers, where a case is too large for an engine or an engine
    answers none of them.
    """
    put = {trial.request.pictures: [ray.put(trial.pictures)] for trial in trials if trial.pictures is not None}
    asked = {
        handle.try_request.remote(trial.request, put.get(trial.request.pictures, [])): (trial, handle)
        for trial in trials
        for handle in replicas.get(trial.entry, ())
    }
    answers, until, left = defaultdict[Any, list[_Answer]](list), time.monotonic() + ANSWER_S, list(asked)
    while left:
        done, left = ray.wait(left, timeout=POLL_S)
        for one in done:
            trial, handle = asked[one]
            answers[handle].append((trial, *_read_answer(one, trial)))
        if left and time.monotonic() > until:
            trial, _ = asked[left[0]]
            raise RefusedRun(f"{trial.entry}: no answer in {ANSWER_S:g} s to one request ({trial.describe_case()})")
        look_up()
    refusals = filter(None, map(_find_refusal, answers.values()))
    said = [
        f"{trial.entry} on {host}: {failure.message} ({trial.describe_case()})" for trial, host, failure in refusals
    ]
    if said:
        raise RefusedRun("; ".join(dict.fromkeys(said)))


def _read_answer(reference: Any, trial: Trial) -> tuple[str, Failure | None]:
    try:
        answer: tuple[str, Failure | None] = ray.get(reference)
    except RayError as error:
        raise RefusedRun(
            f"{trial.entry}: its process ended ({type(error).__name__}; {trial.describe_case()})"
        ) from None
    return answer


def _find_refusal(answers: Sequence[_Answer]) -> tuple[Trial, str, Failure] | None:
    """Of one replica: the first case that is too large, or the first that is lost where all are."""
    lost = [(trial, host, failure) for trial, host, failure in answers if failure is not None]
    of_size = [one for one in lost if one[2].kind in _OF_SIZE]
    return next(iter(of_size or (lost if len(lost) == len(answers) else [])), None)
