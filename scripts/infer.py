"""Ask a model one question, with no, one or many pictures: its reasoning streams to standard output."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, TextIO

from rich.console import Console

from eval.config import InferJob
from mics_ray.command_line import ending, parse
from mics_ray.config.compose import compose_job
from mics_ray.errors import EXIT_OK


def main(argv: Sequence[str]) -> int:
    """Compose, check, load, ask; returns the exit code."""
    command = parse(argv, __doc__ or "", "infer")
    return ending(lambda: infer(compose_job("infer", InferJob, command.overrides, command.config_dir)))


def infer(job: InferJob) -> int:
    """Print the model's answer as it comes."""
    from eval.ask import prepare

    asked = prepare(job)
    adapter = f" with the adapter {job.serve.adapter}" if job.serve.adapter else ""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"loading {job.model}{adapter}", markup=False)
    # asyncio's own handler would wait for the next await, and loading has none for a minute.
    signal.signal(signal.SIGINT, _interrupt)
    with _own_output() as output:
        asyncio.run(_tell(asked, output))
    return EXIT_OK


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _own_output() -> TextIO:
    """Standard output for the answer alone: what libraries and the engine's process print goes to standard error."""
    sys.stdout.flush()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    return output


async def _tell(asked: Any, output: TextIO) -> None:
    from eval.ask import answer

    async for part in answer(asked):
        output.write(part)
        output.flush()
    output.write("\n")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # vLLM's finalizers fail aloud at the interpreter's own end
