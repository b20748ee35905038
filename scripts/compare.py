"""Compare two evaluations item by item: paired difference with interval, exact McNemar test, the items that flipped."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mics_ray.command_line import ending
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_USAGE


def main(argv: Sequence[str]) -> int:
    """Read the command line, compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", type=Path, metavar="A", help="the eval.dir of the first model, the base")
    parser.add_argument("b", type=Path, metavar="B", help="the eval.dir of the second model")
    parser.add_argument("--out", type=Path, help="a folder for compare.json, compare.md and flips.jsonl")
    try:
        found = parser.parse_args(list(argv))
    except SystemExit as ended:
        return EXIT_USAGE if ended.code else EXIT_OK
    return ending(lambda: run(found.a, found.b, found.out))


def run(first: Path, second: Path, out: Path | None) -> int:
    """Compare, print, and write into ``out`` where it is given."""
    from eval.compare import as_markdown, compare, write_comparison

    console = Console(highlight=False, soft_wrap=True)
    found = compare(first, second)
    console.print(as_markdown(found), markup=False)
    if out is None:
        return EXIT_OK
    try:
        write_comparison(found, out)
    except OSError as error:
        Console(stderr=True).print(f"cannot write {out}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    console.print(f"written to {out}", markup=False)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
