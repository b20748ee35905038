"""What a shell offers after ``mics``: commands, flags, groups, and the names of each group. Only then is it loaded."""

import argparse
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

FLAGS = ("--config-dir", "--cfg", "--resolve", "--multirun", "--help")
"""Of the commands that take Hydra overrides."""


def complete_line(commands: Mapping[str, object]) -> None:
    """Answer a shell that asks what may follow, and end the process; return at once where none asks."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("command", choices=sorted(commands))
    words = parser.add_argument("words", nargs=argparse.REMAINDER)
    words.completer = _complete_word  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False, append_space=False)


def _complete_word(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    return list_words(parsed_args.command, prefix, parsed_args.words or [])


def list_words(command: str, prefix: str, before: list[str]) -> list[str]:
    """What may begin with ``prefix`` after ``mics COMMAND``; ``before`` are the words that stand there already."""
    from mics_ray.config.compose import CONF, list_choices, list_groups

    job = "generate" if command == "preflight" else command
    if not (CONF / f"{job}.yaml").is_file() or job == "submit":
        return []
    groups = list_groups(job)
    group, given, value = prefix.partition("=")
    if not given:
        return [word for word in (*(f"{name}=" for name in groups), *FLAGS) if word.startswith(prefix)]
    if group not in groups:
        return []
    # After a comma the next name of a list (or of a sweep) begins.
    head, comma, _ = value.rpartition(",")
    names = list_choices(group, _find_config_dir(before))
    return [word for word in (f"{group}={head}{comma}{name}" for name in names) if word.startswith(prefix)]


def _find_config_dir(words: list[str]) -> Path | None:
    given = [Path(after) for word, after in pairwise(words) if word == "--config-dir"]
    return given[-1] if given else None
