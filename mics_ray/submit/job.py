"""What is submitted: a program of ``scripts/`` with its arguments, what it needs of a cluster, and its lasting id."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from eval.config import EvaluateJob
from mics_ray.assemble.locations import JUDGE, list_models
from mics_ray.config.compose import compose_job, dump_yaml
from mics_ray.config.keys import list_key_names
from mics_ray.config.schema import Config, ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.runtime.serving.placement import ReplicaNeed, list_needs
from train.config import Backend, TrainJob


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """One run of a program.

    ``overrides`` are the program's own, ``output`` is its folder as the cluster sees it, ``needs`` is what its models
    take of GPU nodes, ``key_names`` are the environment variables that must hold keys there.
    """

    program: str
    overrides: tuple[str, ...]
    submission_id: str
    output: str
    needs: tuple[ReplicaNeed, ...]
    key_names: tuple[str, ...]
    embedded: tuple[str, ...]
    config_dir: Path | None = None

    def program_arguments(self, address: str | None, config_dir: str | None = None) -> list[str]:
        """The program's command line after ``scripts/PROGRAM.py`` on a cluster whose Ray is at ``address``; ``None``
        leaves that to the caller."""
        folder = ["--config-dir", config_dir] if config_dir else []
        return [*folder, *self.overrides, *([f"ray.address={address}"] if address else [])]


@dataclass(frozen=True, slots=True)
class Program:
    """How to read a program's configuration: its schema, its output folder and what it needs."""

    schema: type[Any]
    output: Callable[[Any], str]
    needs: Callable[[Any], list[ReplicaNeed]]
    entries: Callable[[Any], Iterable[ModelConfig]]


def describe_job(words: Sequence[str], config_dir: Path | None, base: str) -> SubmittedJob:
    """The job of ``[PROGRAM] override …``; the program is ``generate`` unless named.

    ``base`` is where the cluster takes relative paths from. Raises :class:`RefusedRun`, as the program itself would.
    """
    name, overrides = _split_program(words)
    program = PROGRAMS[name]
    if any(override.lstrip("+").startswith("ray.address=") for override in overrides):
        raise RefusedRun("ray.address is the cluster's to say; leave it out of a submission")
    config = compose_job(name, program.schema, overrides, config_dir)
    output = str(PurePosixPath(base) / program.output(config))
    text = dump_yaml(config)
    keys = {name for entry in program.entries(config) for name in list_key_names(entry)}
    return SubmittedJob(
        program=name,
        overrides=tuple(overrides),
        submission_id=f"mics-{name}-{_digest_parts(name, output, text)}",
        output=output,
        needs=tuple(program.needs(config)),
        key_names=tuple(sorted(keys)),
        embedded=tuple(sorted(_find_embedded(text))),
        config_dir=config_dir,
    )


def _split_program(words: Sequence[str]) -> tuple[str, list[str]]:
    if words and "=" not in words[0] and not words[0].startswith("~"):
        if words[0] not in PROGRAMS:
            raise RefusedRun(f"no program {words[0]!r} to submit; there is: {', '.join(PROGRAMS)}")
        return words[0], list(words[1:])
    return "generate", list(words)


def _digest_parts(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _find_embedded(text: str) -> set[str]:
    """Paths beneath ``mics_ray/local`` that the configuration names as ``embedded:…``."""
    return {word.removeprefix("embedded:").strip("'\"") for word in text.split() if word.startswith("embedded:")}


def _list_models(config: Config | EvaluateJob) -> list[ModelConfig]:
    own = list(config.mentors.values()) if isinstance(config, Config) else [config.serve]
    return [config.judge, *own, *config.interns.values()]


def _needs_of_models(entries: Mapping[str, ModelConfig]) -> list[ReplicaNeed]:
    return list_needs(entries, on_gpu=True)


def _needs_of_training(job: TrainJob) -> list[ReplicaNeed]:
    """Training takes whole nodes (``internvl``) or one GPU per process (``peft``)."""
    if job.train.backend is Backend.internvl:
        return [ReplicaNeed("trainer", job.train.upstream.nodes, job.train.upstream.gpus_per_node, 1.0)]
    return [ReplicaNeed("trainer", job.train.workers, 1.0 if job.train.use_gpu else 0.0, 1.0)]


PROGRAMS = {
    "generate": Program(Config, lambda c: str(c.run.dir), lambda c: _needs_of_models(list_models(c)), _list_models),
    "train": Program(TrainJob, lambda c: str(c.train.dir), _needs_of_training, lambda _: ()),
    "evaluate": Program(
        EvaluateJob,
        lambda c: str(c.eval.dir),
        lambda c: _needs_of_models({"model": c.serve, JUDGE: c.judge, **c.interns}),
        _list_models,
    ),
}
"""Program -> how its configuration is read."""
