"""The command line of programs that take a few ``KEY=VALUE`` settings and no configuration."""

import argparse
import difflib
from collections.abc import Callable, Sequence

from rich.console import Console

from mics_ray.command_line import run_program
from mics_ray.core.display import make_one_line
from mics_ray.errors import EXIT_OK, EXIT_USAGE


def run_settings(
    argv: Sequence[str], purpose: str, needed: Sequence[str], more: Sequence[str], act: Callable[[dict[str, str]], int]
) -> int:
    """Read ``KEY=VALUE`` words of ``needed`` and ``more`` settings and ``act`` on them; returns the exit code.

    ``purpose`` is the help.
    """
    parser = argparse.ArgumentParser(description=purpose, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE")
    try:
        words = parser.parse_args(list(argv)).words
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    try:
        _check_settings(words, given, needed, more)
    except ValueError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            make_one_line(str(error)), style="red", markup=False
        )
        return EXIT_USAGE
    return run_program(lambda: act(given))


def _check_settings(words: Sequence[str], given: dict[str, str], needed: Sequence[str], more: Sequence[str]) -> None:
    """Raises ``ValueError`` with what to write instead."""
    known = [*needed, *more]
    form = " ".join(f"{name}=…" for name in needed)
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}=…?" if close else f"give {form}"
            raise ValueError(f"{name[:80]}: no such setting; {hint}")
        if not value:
            raise ValueError(f"{name}: no value given; write {name}=…")
    if missing := [name for name in needed if name not in given]:
        raise ValueError(f"{' and '.join(missing)} not given; write {form}")
    if len(given) < len(words):
        raise ValueError("a setting is given twice")
