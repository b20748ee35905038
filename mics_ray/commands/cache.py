"""Look after a run's paid replies: ``mics cache stats|verify|prune|export FOLDER``.

FOLDER is a run's folder, its ``cache`` folder, or ``run.dir=FOLDER``. ``stats`` counts entries, bytes, tokens and ages;
``verify`` reads every reply; ``export --out FILE.parquet|FILE.jsonl`` copies them out (medical text: mode 0600);
``prune`` removes replies by model, by age, or the oldest down to a size, and frees the disk.

An unfinished run goes on from these replies, a finished one is repaired and replayed from them: `prune` removes replies
of models that the run names only with ``--pay-again``, for what is removed must be paid for again.

Exit codes: 0 done or sound, 73 a run is writing there, 74 damaged or cannot write, 78 refused.
"""

import argparse
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from mics_ray.command_line import run_program
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_USAGE, LockedRun, RefusedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.models.replies import store_care
from mics_ray.models.replies.closing import tidy_folder
from mics_ray.models.replies.prune import PrunePlan, plan_prune, prune_replies
from mics_ray.models.replies.store_file import folder_bytes
from mics_ray.private_files import read_json_object

GB, DAY = 10**9, 86400
FOREVER = 2**62  # fits into SQLite's signed 64 bits


def run_cache(argv: Sequence[str]) -> int:
    """Read the command line, do it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, program in ACTIONS.items():
        command = commands.add_parser(name, help=(program.__doc__ or "").splitlines()[0])
        command.add_argument("folder", metavar="FOLDER|run.dir=FOLDER")
        command.set_defaults(program=program)
        _add_options(command, name)
    try:
        given = parser.parse_args(list(argv))
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    return run_program(lambda: _run_action(given))


def _run_action(given: argparse.Namespace) -> int:
    console = Console(highlight=False, soft_wrap=True)
    try:
        code: int = given.program(_find_cache(given.folder), given, console)
        return code
    except (OSError, sqlite3.Error) as error:
        console.print(f"cannot do it: {getattr(error, 'strerror', None) or error}", style="red", markup=False)
        return EXIT_CANNOT_WRITE


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    if name in ("stats", "verify"):
        command.add_argument("--json", action="store_true", help="for programs")
    if name == "export":
        command.add_argument("--out", type=Path, required=True, metavar="FILE.parquet|FILE.jsonl")
    if name == "prune":
        command.add_argument("--older-than", type=float, metavar="DAYS")
        command.add_argument("--model", help="only replies of this model, as it is named to its provider")
        command.add_argument("--max-gb", type=float, help="the oldest replies, until the folder is no larger")
        command.add_argument("--dry-run", action="store_true", help="say what would go")
        command.add_argument("--pay-again", action="store_true", help="also what the run still needs")


def show_stats(folder: Path, given: argparse.Namespace, console: Console) -> int:
    """Count entries, bytes, tokens and ages, by model and file."""
    found = store_care.collect_stats(folder)
    models = store_care.total_by_model(found)
    if given.json:
        told = {"folder": str(folder), "disk_bytes": folder_bytes(folder), "files": [asdict(file) for file in found],
                "models": {name: asdict(tally) for name, tally in models.items()},
                "entries": sum(tally.entries for tally in models.values()),
                "set_aside": store_care.list_set_aside(folder)}  # fmt: skip
        print(json.dumps(told, indent=1))
        return EXIT_OK
    table = Table(title=f"{folder}: {folder_bytes(folder) / GB:.3f} GB in {len(found)} files", title_justify="left")
    table.box, table.pad_edge = None, False  # 80 columns hold a model's name then
    table.add_column("model", overflow="fold")
    for name in ("replies", "MB", "tokens in", "out", "oldest", "newest"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, tally in models.items():
        tokens = (f"{tally.prompt_tokens:,}", f"{tally.completion_tokens:,}")
        text_mb = f"{tally.text_bytes / 1e6:,.1f}"
        ages = (_format_day(tally.oldest), _format_day(tally.newest))
        table.add_row(name, f"{tally.entries:,}", text_mb, *tokens, *ages)
    console.print(table)
    for file in found:
        entries = sum(tally.entries for tally in file.models.values())
        console.print(f"{file.name}: {file.problem or f'{entries:,} replies, {file.disk_bytes / 1e6:.1f} MB'}")
    return EXIT_OK


def verify_cache(folder: Path, given: argparse.Namespace, console: Console) -> int:
    """Read every reply and hold it against its checksum."""
    found, aside = store_care.check_files(folder), store_care.list_set_aside(folder)
    sound = all(file.sound for file in found)
    if given.json:
        files = [asdict(file) | {"sound": file.sound} for file in found]
        print(json.dumps({"sound": sound, "files": files, "set_aside": aside}, indent=1))
        return EXIT_OK if sound else EXIT_CANNOT_WRITE
    for file in found:
        told = file.problem or (f"{file.damaged} damaged" if file.damaged else "sound")
        console.print(f"{file.name}: {file.rows:,} replies, {told}", style="" if file.sound else "red")
    for name in aside:
        console.print(f"{name}: was found damaged by a run and set aside", style="yellow")
    if not sound:
        console.print("a damaged reply is never used: the next run asks for it again", style="yellow")
    return EXIT_OK if sound else EXIT_CANNOT_WRITE


def prune_cache(folder: Path, given: argparse.Namespace, console: Console) -> int:
    """Remove replies and free the disk."""
    if given.older_than is None and given.model is None and given.max_gb is None:
        raise RefusedRun("prune: say which replies, by --older-than, --model or --max-gb")
    if min(given.older_than or 0, given.max_gb or 0) < 0:
        raise RefusedRun("prune: --older-than and --max-gb are not below 0")
    before = FOREVER if given.older_than is None else int(time.time() - given.older_than * DAY)
    down_to = None if given.max_gb is None else round(given.max_gb * GB)
    with _hold_run(folder):
        # Planned under the lock: a run that goes on in between may need or add replies.
        doomed = plan_prune(folder, given.model, before, down_to)
        for model, count in sorted(doomed.entries.items()):
            console.print(f"{model}: {count:,} replies", markup=False)
        told = f"{doomed.entries.total():,} replies, about {doomed.disk_bytes / 1e6:.1f} MB"
        if given.dry_run:
            console.print(f"would go: {told}")
            return EXIT_OK
        _refuse_what_is_needed(folder, doomed, given.pay_again)
        size = folder_bytes(folder)
        tidy_folder(folder)
        gone = prune_replies(folder, doomed)
        console.print(f"removed {gone:,} replies, {(size - folder_bytes(folder)) / 1e6:.1f} MB of the disk are free")
    return EXIT_OK


def export_cache(folder: Path, given: argparse.Namespace, console: Console) -> int:
    """Copy every sound reply into one Parquet or JSONL file."""
    from mics_ray.io.reply_table import SUFFIXES, write_replies

    if given.out.suffix not in SUFFIXES:
        raise RefusedRun(f"--out: {given.out.name} must end in {' or '.join(SUFFIXES)}")
    checks = {path: store_care.FileCheck(path.name) for path in store_care.list_all_files(folder)}
    rows = (row for path, check in checks.items() for row in store_care.read_sound_replies(path, check))
    console.print(f"{write_replies(given.out, rows):,} replies in {given.out}", markup=False)
    if damaged := sum(check.damaged for check in checks.values()):
        console.print(f"left out: {damaged:,} damaged; see mics cache verify", style="yellow")
    for name in store_care.list_set_aside(folder):
        console.print(f"left out: {name}, which a run found damaged and set aside", style="yellow")
    return EXIT_OK


ACTIONS = {"stats": show_stats, "verify": verify_cache, "prune": prune_cache, "export": export_cache}


def _find_cache(given: str) -> Path:
    """The cache folder that the command line means."""
    if given in ("", "run.dir="):
        raise RefusedRun("run.dir is empty: give run.dir=… a value")
    folder = Path(given.removeprefix("run.dir="))
    folder = folder / "cache" if (folder / "cache").is_dir() else folder
    if not store_care.list_all_files(folder):
        raise RefusedRun(f"there are no cached replies in {folder}")
    return folder


@contextmanager
def _hold_run(folder: Path) -> Iterator[None]:
    """Nobody else works on the run, or on a cache without one."""
    try:
        root = folder.parent if _find_run_config(folder) is not None else folder
        with RunLock(root / ".lock", shared=True):
            yield
    except LockHeld as held:
        raise LockedRun(f"{held}; wait for it, or stop it") from None


def _find_run_config(folder: Path) -> Path | None:
    path = folder.parent / "config.yaml"
    return path if path.is_file() and folder.name == "cache" else None


def _refuse_what_is_needed(folder: Path, doomed: PrunePlan, pay_again: bool) -> None:
    """Replies of the models that the run names go only where the person says so."""
    path = _find_run_config(folder)
    if path is None or pay_again:
        return
    needed = sorted(doomed.entries.keys() & _collect_models(yaml.safe_load(path.read_text(encoding="utf-8"))))
    if needed:
        finished = read_json_object(folder.parent / "summary.json").get("finished") is True
        use = "is finished; it is repaired and replayed" if finished else "is not finished; it goes on"
        raise RefusedRun(
            f"the run in {folder.parent} {use} from replies of {', '.join(needed)}; with --pay-again they go, and what "
            "is needed of them is paid for again"
        )


def _collect_models(node: object) -> set[str]:
    """Every ``model`` in a configuration."""
    if not isinstance(node, dict):
        return set()
    own = {str(node["model"])} if "model" in node else set()
    return own.union(*(_collect_models(value) for value in node.values()))


def _format_day(at: int | None) -> str:
    return "?" if at is None else time.strftime("%Y-%m-%d", time.localtime(at))
