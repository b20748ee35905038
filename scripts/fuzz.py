"""Fuzz the parsers: nearly valid inputs by the hundred thousand, each held against what its parser promises.

``python scripts/fuzz.py --target NAME|all [--inputs N] [--seed S] [--guided]``. The targets live in ``tests/fuzz``.
Without ``--guided`` input N of a seed is always the same; with it atheris (libFuzzer) starts from such inputs and
breeds those that reach code which none has reached before.
Exit codes: 0 every promise kept, 1 one broken (the input is written to ``fuzz-NAME-NUMBER.bin``), 64 usage.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track

# This file's folder comes first on the path, and its programs would stand for packages of the same name.
if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    sys.path.pop(0)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mics_ray.errors import EXIT_OK, EXIT_USAGE
from tests.fuzz.names import NAMES

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

EXIT_BROKEN = 1
FIRST = 200  # inputs that atheris starts from
MOST_SAID = 6_000  # characters of a traceback, which may quote the input


def main(argv: Sequence[str]) -> int:
    """Fuzz one target or all; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=[*NAMES, "all"], default="all")
    parser.add_argument("--inputs", type=int, default=100_000, help="of each target (100,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="breed inputs by the code that they reach")
    try:
        given = parser.parse_args(list(argv))
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    console = Console(highlight=False)
    names = NAMES if given.target == "all" else [given.target]
    if given.guided:
        return run_guided(names, given.inputs, given.seed)
    from tests.fuzz.targets import TARGETS

    broken = [name for name in names if not fuzz_target(TARGETS[name], given.inputs, given.seed, console)]
    return EXIT_BROKEN if broken else EXIT_OK


def run_guided(names: Sequence[str], inputs: int, seed: int) -> int:
    """Run atheris on each target, which ends its process: one for each."""
    if len(names) > 1:
        command = [sys.executable, __file__, "--guided", f"--inputs={inputs}", f"--seed={seed}", "--target"]
        # atheris ends the process with its own code when it is through or finds something.
        codes = [subprocess.run([*command, name], check=False).returncode for name in names]
        return EXIT_BROKEN if any(codes) else EXIT_OK
    import atheris

    # Only what is imported in here is watched.
    with atheris.instrument_imports(include=["mics_ray"]):
        from tests.fuzz.targets import TARGETS, generator
    target = TARGETS[names[0]]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        first, work = Path(folder, "first"), Path(folder, "work")
        first.mkdir()
        work.mkdir()
        for number in range(FIRST):
            (first / str(number)).write_bytes(target.make(generator(seed, target.name, number)))
        options = [f"-runs={inputs}", f"-seed={seed + 1}", f"-artifact_prefix=fuzz-{target.name}-", "-rss_limit_mb=0"]
        atheris.Setup([__file__, *options, str(first)], target.open(work))
        atheris.Fuzz()
    return EXIT_OK


def fuzz_target(target: "Target", inputs: int, seed: int, console: Console) -> bool:
    """Run one target to its end or to the first broken promise; whether it kept them all."""
    from tests.fuzz.targets import generator

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        check = target.open(Path(folder))
        _silence_decoders()
        for number in track(range(inputs), target.name, console=console, transient=True):
            data = target.make(generator(seed, target.name, number))
            if not _keeps_promise(check, data, console):
                path = Path(f"fuzz-{target.name}-{number}.bin")
                path.write_bytes(data)
                console.print(f"{target.name}: broken by input {number} of seed {seed}, written to {path}", style="red")
                return False
    seconds = time.perf_counter() - begun
    console.print(f"{target.name}: {inputs:,} inputs in {seconds:.0f} s, {inputs / seconds:,.0f} a second, all kept")
    return True


def _silence_decoders() -> None:
    """Decoders in C complain to the standard error of the process, about every input."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stderr.fileno())


def _keeps_promise(check: Callable[[bytes], None], data: bytes, console: Console) -> bool:
    """The broad ``except`` is what fuzzing is for: whatever comes out of a parser and is not promised."""
    try:
        check(data)
    except Exception as error:
        said = "".join(traceback.format_exception(error, limit=-8, chain=False))
        console.print(said[:MOST_SAID], markup=False, soft_wrap=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
