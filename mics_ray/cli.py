"""``mics COMMAND``: every program by one name. A command's module is imported when the command is called."""

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from mics_ray import __version__
from mics_ray.errors import EXIT_OK, EXIT_USAGE

COMMANDS = {
    "generate": ("mics_ray.commands.generate:run_generate", "search reasoning chains for cases"),
    "preflight": ("mics_ray.commands.generate:run_preflight", "check a job and estimate it before anything is spent"),
    "fetch": ("mics_ray.commands.fetch:run_fetch", "fetch the models that a run serves from the hub"),
    "plan": ("mics_ray.plan.command:main", "plan a job on paper: places, hours, money"),
    "watch": ("mics_ray.runtime.monitor.watch_command:main", "watch a run that works elsewhere"),
    "report": (
        "mics_ray.review.command:run_report",
        "write a run's report: charts, cases, search trees, for a browser",
    ),
    "review": (
        "mics_ray.review.review_command:run_review",
        "let people mark a run's chains in a browser, and sum it up",
    ),
    "show": ("mics_ray.review.command:run_show", "show a case of a run with its search tree on the terminal"),
    "verify": ("mics_ray.commands.verify:run_verify", "check a run's rows against its input, repair damaged shards"),
    "rejudge": ("eval.commands:run_rejudge", "ask another judge about the answers of a run"),
    "cache": ("mics_ray.commands.cache:run_cache", "look after the paid replies of a run"),
    "export": ("train.commands:run_export", "export chains to training data"),
    "train": ("train.commands:run_train", "fine-tune an intern on an export"),
    "infer": ("eval.commands:run_infer", "ask a model one question"),
    "evaluate": ("eval.commands:run_evaluate", "evaluate a model on benchmarks"),
    "compare": ("eval.commands:run_compare", "compare two evaluations item by item"),
    "loop": ("mics_ray.commands.loop:run_loop", "the whole loop on phantoms: search, export, train, evaluate, compare"),
    "submit": ("mics_ray.submit.command:main", "submit a job to SLURM, KubeRay, cloud machines or a Ray"),
}
"""Command -> (module:function that takes the arguments and returns the exit code, its line of the help)."""

COMPLETION = """\
completion of commands, groups and names (bash; zsh: first `autoload -U bashcompinit && bashcompinit`):
  eval "$(register-python-argcomplete mics)"     a line for ~/.bashrc or ~/.zshrc"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (or the process's own arguments) names; returns its exit code."""
    from mics_ray.completion import complete_line

    complete_line(COMMANDS)  # ends the process where a shell asks for completions
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(describe_commands())
        return EXIT_OK if words else EXIT_USAGE
    name, *rest = words
    if name == "--version":
        print(f"mics {__version__}")
        return EXIT_OK
    if name not in COMMANDS:
        print(f"no command {name[:80]!r}{_suggest_command(name)}; see mics --help", file=sys.stderr)
        return EXIT_USAGE
    # argparse takes a program's name from here; a traceback and `ps` are not touched by it.
    sys.argv = [f"mics {name}", *rest]
    return load_command(name)(rest)


def load_command(name: str) -> Callable[[Sequence[str]], int]:
    """The function of a command of :data:`COMMANDS`."""
    module, _, function = COMMANDS[name][0].partition(":")
    program: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    return program


def describe_commands() -> str:
    """The help: a line for each command."""
    lines = [f"  {name:<11}{line}" for name, (_, line) in COMMANDS.items()]
    return "\n".join(
        ["usage: mics COMMAND …     mics COMMAND --help     mics --version", "", "commands:", *lines, "", COMPLETION]
    )


def _suggest_command(name: str) -> str:
    close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


if __name__ == "__main__":
    sys.exit(main())
