"""The programs `evaluate`, `rejudge`, `infer` and `compare`: from a command line to an exit code.

Heavy imports wait until they are used.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from eval.config import EvaluateJob, InferJob
from eval.prepare import check_job
from eval.rejudge.config import RejudgeJob
from eval.run import evaluate_model
from mics_ray.command_line import JobCommand, run_job, run_program
from mics_ray.config.compose import compose_job
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_USAGE

if TYPE_CHECKING:
    from eval.ask import PreparedQuestion

INFER = "Ask a model one question, with no, one or many pictures: its reasoning streams to standard output."
COMPARE = (
    "Compare two evaluations item by item, leniently and strictly (form kept): paired difference with interval, exact "
    "McNemar test, the items that flipped."
)


EVALUATE = (
    "Evaluate a model on benchmarks: it answers as an intern does, rules or a judge check, a report says how well, "
    "leniently and strictly (form kept). eval.set=NAME chooses a benchmark's set (PMC-VQA: test_2, MMMU: test)."
)
REJUDGE = """\
Ask another judge about the answers that a run recorded: agreement, flipped verdicts, steps chosen otherwise.

``mics rejudge run.dir=FOLDER judge=NAME [rejudge.name=NAME] [budget_usd=N]`` writes
``run.dir/rejudge/NAME/`` (verdicts.parquet, report.json, report.md). The judge does not sample; its replies are kept in
``run.dir/cache``, so the same command goes on where a stopped one ended. ``budget_usd`` caps what its sessions spend
together, whatever the run itself has spent. Exit codes: 0 done, 73 a run is writing there, 74 cannot write, 75 stopped,
78 refused before anything is asked.
"""


_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.S)


def run_evaluate(argv: Sequence[str]) -> int:
    """Compose, check, evaluate; returns the exit code."""
    return run_job(argv, EVALUATE, JobCommand("evaluate", EvaluateJob, evaluate_model, "eval.dir", check_job))


def run_rejudge(argv: Sequence[str]) -> int:
    """Compose, check, ask; returns the exit code."""
    return run_job(
        argv, REJUDGE, JobCommand("rejudge", RejudgeJob, _ask_other_judge, "rejudge.name", compose=_compose_rejudge)
    )


def _compose_rejudge(overrides: Sequence[str], config_dir: Path | None) -> RejudgeJob:
    """A re-judgement is named after its judge unless it is given a name."""
    job = compose_job("rejudge", RejudgeJob, overrides, config_dir)
    chosen = [one.removeprefix("judge=") for one in overrides if one.startswith("judge=")]
    job.rejudge.name = job.rejudge.name or chosen[-1]
    return job


def _ask_other_judge(job: RejudgeJob) -> int:
    # Waits until the configuration is known to be right: it loads the HTTP client.
    from eval.rejudge.run import rejudge_run

    return rejudge_run(job)


def run_infer(argv: Sequence[str]) -> int:
    """Compose, check, load, ask; returns the exit code, or ends the process with it once an engine was loaded."""
    return run_job(argv, INFER, JobCommand("infer", InferJob, ask_question, compose=compose_infer))


def compose_infer(overrides: Sequence[str], config_dir: Path | None) -> InferJob:
    """The job of a command line, whose question is taken as it stands: Hydra's grammar would read its brackets, commas,
    quotes and ``${…}``. A value that is quoted for Hydra is left to it. Raises :class:`RefusedRun`."""
    given = [one for one in overrides if one.startswith("question=")]
    plain = given[-1].removeprefix("question=") if given else None
    if plain is None or _QUOTED.fullmatch(plain):
        return compose_job("infer", InferJob, overrides, config_dir)
    others = [one for one in overrides if not one.startswith("question=")]
    job = compose_job("infer", InferJob, [*others, "question=PLACEHOLDER"], config_dir)  # an empty one is refused
    job.question = plain
    return job


def ask_question(job: InferJob) -> int:
    """Print the model's answer as it comes. Raises :class:`RefusedRun` before an engine is loaded, else ends the
    process."""
    from eval.ask import prepare_question

    asked = prepare_question(job)
    adapter = f" with the adapter {job.serve.adapter}" if job.serve.adapter else ""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"loading {job.model}{adapter}", markup=False)
    # asyncio's own handler would wait for the next await, and loading has none for a minute.
    signal.signal(signal.SIGINT, _raise_interrupt)
    code = run_program(lambda: _print_answer(asked))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # vLLM's finalizers fail aloud at the interpreter's own end


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_answer(asked: "PreparedQuestion") -> int:
    with _own_output() as output:
        asyncio.run(_stream_answer(asked, output))
    return EXIT_OK


def _own_output() -> TextIO:
    """Standard output for the answer alone: what libraries and the engine's process print goes to standard error."""
    sys.stdout.flush()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    return output


async def _stream_answer(asked: "PreparedQuestion", output: TextIO) -> None:
    from eval.ask import stream_answer

    async for part in stream_answer(asked):
        output.write(part)
        output.flush()  # a reader in a pipe sees each part when it is there
    output.write("\n")


def run_compare(argv: Sequence[str]) -> int:
    """Read the command line, compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=COMPARE)
    several = "; several training seeds' with commas between them"
    parser.add_argument("a", metavar="A", help=f"the eval.dir of the first model, the base{several}")
    parser.add_argument("b", metavar="B", help=f"the eval.dir of the second model{several}")
    parser.add_argument(
        "--out", type=Path, help="a folder for compare.json, compare.md and, without seeds, flips.jsonl"
    )
    try:
        found = parser.parse_args(list(argv))
    except SystemExit as ended:
        return EXIT_USAGE if ended.code else EXIT_OK
    return run_program(lambda: print_comparison(_split_seeds(found.a), _split_seeds(found.b), found.out))


def _split_seeds(text: str) -> list[Path]:
    # A folder that has a comma in its name is one folder. Not Path.exists: of a text longer than any path it raises.
    return [Path(text)] if os.path.exists(text) else [Path(one) for one in text.split(",")]


def print_comparison(first: Sequence[Path], second: Sequence[Path], out: Path | None) -> int:
    """Compare, print, and write into ``out`` where it is given; several folders of a side are training seeds."""
    from eval.reports.comparison import compare_evaluations, render_comparison, write_comparison
    from eval.reports.seed_comparison import (
        compare_seed_evaluations,
        render_seed_comparison,
        write_seed_comparison,
    )

    if len(first) == len(second) == 1:
        found = compare_evaluations(first[0], second[0])
        return _hand_over(render_comparison(found), lambda folder: write_comparison(found, folder), out)
    seeds = compare_seed_evaluations(first, second)
    return _hand_over(render_seed_comparison(seeds), lambda folder: write_seed_comparison(seeds, folder), out)


def _hand_over(text: str, write: Callable[[Path], None], out: Path | None) -> int:
    console = Console(highlight=False, soft_wrap=True)
    console.print(text, markup=False)
    if out is None:
        return EXIT_OK
    try:
        write(out)
    except OSError as error:
        Console(stderr=True, soft_wrap=True).print(f"cannot write {out}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    console.print(f"written to {out}", markup=False)
    return EXIT_OK
