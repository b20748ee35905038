"""B11: independent chat calls of this project and of others: the same provider, the same number, the same run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.figures import Figure, Setting
from benchmarks.harness.provider import ROOT, ProviderProcess, serve_provider
from benchmarks.harness.runs import FigureMaker, Spent, measure_spent, run_watched, write_groups
from benchmarks.suite.speed import PLAIN_LOOP

IN_FLIGHT = 256
ALONE = 20
"""Calls of the one that makes them one after the other: 100 ms each."""
PEERS = ROOT / "benchmarks/peers"
CACHE = Path(os.environ.get("MICS_BENCH_CACHE", Path.home() / ".cache/mics-bench"))
CURATOR = "bespokelabs-curator==0.1.31"
THIS = "this project (limits, cache, fsync, rows)"
NAMES = (THIS, "openai SDK loop", "Ray Data LLM's HTTP processor", "bespokelabs-curator", "bare aiohttp loop")
REFERENCE = "one call in flight, as the reference"

Command = Callable[[Path, ProviderProcess], list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What everybody is asked: a JSON list of texts, and the same as cases of an evaluation."""

    file: Path
    cases: Path


def measure_figures(setting: Setting) -> Iterator[Figure]:
    """Each program ``setting.runs`` times; one that cannot run is a figure without values that says why."""
    asked = write_asked(setting.folder, setting.choose(1000, 200))
    commands: dict[str, Command] = {
        THIS: lambda folder, provider: evaluate_command(folder, provider, asked),
        NAMES[1]: lambda _, provider: loop_command(provider, asked, "openai", IN_FLIGHT),
        NAMES[2]: lambda _, provider: [sys.executable, f"{PEERS}/ray_data.py", provider.url, str(asked.file)],
        NAMES[3]: lambda folder, provider: curator_command(folder, provider, asked),
        NAMES[4]: lambda _, provider: loop_command(provider, asked, "aiohttp", IN_FLIGHT),
    }
    few = write_asked(setting.folder / "few", ALONE)
    yield from measure_program(setting, REFERENCE, lambda _, provider: loop_command(provider, few, "openai", 1))
    for name, command in commands.items():
        yield from measure_program(setting, name, command)


def measure_program(setting: Setting, name: str, command: Command) -> Iterator[Figure]:
    """Calls a second and CPU a call of one program."""
    try:
        runs = [ask_all(setting.folder / f"{name[:4]}-{number}", command) for number in range(setting.runs)]
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        yield Figure("B11", f"calls a second: {name}", "calls/s", (), said=f"could not run: {str(error)[-200:]}")
        return
    figures = FigureMaker("B11", runs)
    yield figures.make(f"calls a second: {name}", "calls/s", lambda run: run.calls / run.seconds)
    yield figures.make(f"CPU a call: {name}", "ms", lambda run: 1000 * run.own_cpu_s / run.calls)


def ask_all(folder: Path, command: Command) -> Spent:
    """All calls of one program, with a provider of its own."""
    with serve_provider() as provider:
        folder.mkdir(parents=True)
        return measure_spent(run_watched(command(folder, provider), provider), provider.read_stats())


def write_asked(folder: Path, count: int) -> Asked:
    """``count`` questions of yes and no, as texts and as cases."""
    questions = [
        f"Is finding {number} of this examination normal? {'It is described. ' * 50}" for number in range(count)
    ]
    asked = Asked(folder / "texts.json", folder / "sets")
    (asked.cases / "phantom").mkdir(parents=True)
    asked.file.write_text(json.dumps(questions))
    with (asked.cases / "phantom/cases.jsonl").open("w") as file:
        for number, question in enumerate(questions):
            messages = [{"role": "user", "content": f"**Question:** {question}"}]
            messages.append({"role": "assistant", "content": "**Correct Answer:** Yes"})
            file.write(json.dumps({"rid": f"{number:05}", "messages": messages, "images": []}) + "\n")
    return asked


def evaluate_command(folder: Path, provider: ProviderProcess, asked: Asked) -> list[str]:
    """An evaluation whose answers a rule checks: one call and one row an item."""
    write_groups(folder / "conf", provider.url)
    return [
        sys.executable, f"{ROOT}/scripts/evaluate.py", "--config-dir", f"{folder}/conf", "eval=phantom", "judge=bench",
        "serve.engine=endpoint", "model=chat-0", f"serve.base_url={provider.url}", f"eval.root={asked.cases}",
        f"eval.dir={folder}/out", f"window={IN_FLIGHT}",
    ]  # fmt: skip


def loop_command(provider: ProviderProcess, asked: Asked, client: str, in_flight: int) -> list[str]:
    """A plain loop."""
    options = ["--client", client, "--in-flight", str(in_flight)]
    return [sys.executable, PLAIN_LOOP, provider.url, "calls", str(asked.file), *options]


def curator_command(folder: Path, provider: ProviderProcess, asked: Asked) -> list[str]:
    """In an environment of its own, made the first time. Raises where it cannot be."""
    python = find_curator()
    return [python, f"{PEERS}/curator_calls.py", provider.url, str(asked.file), f"{folder}/work", str(IN_FLIGHT)]


def find_curator() -> str:
    """The Python that has it; installed where it is not there."""
    home = CACHE / CURATOR.replace("==", "-")
    python = home / "bin/python"
    if not (home / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        made = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", CURATOR], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise RuntimeError(f"{CURATOR} cannot be installed: {made.stderr[-200:]}")
        (home / ".ready").touch()
    return str(python)
