"""A replay from end to end: the run's folder held and read, its cases searched again, the two held side by side."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.text import Text

from mics_ray.assemble.checks import check_replay
from mics_ray.assemble.locations import locate_cases
from mics_ray.config.compose import dump_yaml
from mics_ray.config.identity import build_identity, digest_identity, find_code_version
from mics_ray.config.schema import Config
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import InputError, Survey, survey_cases
from mics_ray.io.results.summary import summarise_results
from mics_ray.io.rows import Stamp
from mics_ray.io.shards.committed import committed_ids
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.generation import uses_simulated_models
from mics_ray.jobs.run_folder import RunFolder, hold_folder
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.models.replies.recorded_replies import RecordedReplies
from mics_ray.private_files import make_private_folder
from mics_ray.replay.account import Account
from mics_ray.replay.cases import RecordEnd, Replayer
from mics_ray.replay.committed_rows import compare_rows, read_committed
from mics_ray.runtime.monitor.logs import log_into_folder
from mics_ray.runtime.monitor.progress import Progress, format_clock

ENDS = "record_ends.jsonl"
"""In a replay's folder: where the record ends, a line for each case that it does not reach."""
_MADE_BY = "made_by.json"


def replay_run(config: Config, progress: Progress, stop: StopSignal) -> Account:
    """Search every case of ``config`` again from the record of ``run.dir``; the run's own results stay as they are.

    The rows go to a folder of their own for each configuration, ``run.dir/replay/DIGEST``. A replay that was stopped
    goes on; one that had ended is replaced. Raises :class:`RefusedRun`, :class:`mics_ray.errors.LockedRun`,
    :class:`mics_ray.errors.Stopped`, ``OSError`` where its rows cannot be written.
    """
    run = Path(config.run.dir)
    if not (run / "identity.json").is_file():
        raise RefusedRun(f"run.dir: there is no run in {run}")
    check_replay(config)
    with hold_folder(config.run.dir, "run.dir") as folder:
        # Into the run's own logs: the replay's folder may be replaced.
        log_into_folder(folder.logs, "replay")
        with _refuse_unreadable():
            return _replay_held(config, folder, progress, stop)


def rebuild_rows(config: Config, folder: RunFolder, progress: Progress, stop: StopSignal) -> list[RecordEnd]:
    """Commit the rows that a run lacks, as far as its record reaches; the other cases are returned.

    The caller holds the run's lock. Raises :class:`RefusedRun` where the record is not that of this configuration and
    input, :class:`mics_ray.errors.Stopped`, ``OSError``.
    """
    check_replay(config)
    with _refuse_unreadable():
        survey = survey_cases(locate_cases(config), committed_ids(folder.results))
        view = build_identity(config, survey.sha256)
        folder.refuse_other(view, "run.dir")
        stamp = Stamp(config.seed, digest_identity(view), find_code_version())
        with _open_record(folder) as record:
            replayer = Replayer(config, stamp, record, {})
            return _search_again(replayer, survey, ShardStore(folder.results), progress, stop)


def _replay_held(config: Config, folder: RunFolder, progress: Progress, stop: StopSignal) -> Account:
    run = read_committed(folder.results)
    survey = survey_cases(locate_cases(config))
    view = build_identity(config, survey.sha256)
    changed = folder.list_changes(view)
    stamp, started = Stamp(config.seed, digest_identity(view), find_code_version()), time.monotonic()
    # After everything that may refuse: it may delete an earlier replay.
    target = _prepare_target(folder, stamp, progress)
    survey = survey_cases(locate_cases(config), committed_ids(target.results))
    progress.show_phase(f"{survey.pending} of {survey.records} cases from the record in {folder.cache}")
    with _open_record(folder) as record:
        replayer = Replayer(config, stamp, record, run.lost)
        ends = _search_again(replayer, survey, ShardStore(target.results), progress, stop)
        problems = dict(record.problems)
    account = Account(
        folder=target.root,
        records=survey.records,
        rows=len(run.digests),
        ends=ends,
        lacking=sum(end.case in run.digests for end in ends),
        comparison=compare_rows(target.results, run),
        changed=changed,
        problems=problems,
        seconds=time.monotonic() - started,
    )
    _write_account(target, config, view, account)
    return account


def _search_again(
    replayer: Replayer, survey: Survey, store: ShardStore, progress: Progress, stop: StopSignal
) -> list[RecordEnd]:
    done, started, records = survey.records - survey.pending, time.monotonic(), survey.records
    before = done

    def count_case() -> None:
        nonlocal done
        done += 1
        # By the cases of this session: those of an earlier one say nothing about the speed of today's machine.
        left = (records - done) * (time.monotonic() - started) / (done - before)
        progress.show_line(done, records, Text(f"{done}/{records} cases from the record  {format_clock(left)} left"))

    try:
        return asyncio.run(replayer.replay_cases(survey.spans, store, stop, count_case))
    finally:
        progress.close()


def _prepare_target(folder: RunFolder, stamp: Stamp, progress: Progress) -> RunFolder:
    """The folder of this configuration's replay; rows of a stopped one stay where the same code made them."""
    target = RunFolder(folder.root / "replay" / stamp.config_digest)
    if target.root.exists() and not _can_go_on(target, stamp):
        progress.show_phase(f"replaces the earlier replay in {target.root}")
        shutil.rmtree(target.root)  # rows of two versions of the code must not stand side by side
    make_private_folder(target.root)
    target.write_file(_MADE_BY, json.dumps(stamp.code_version))
    return target


def _can_go_on(target: RunFolder, stamp: Stamp) -> bool:
    """Whether a replay of the same code was stopped here, and its rows can be read."""
    made_by = target.root / _MADE_BY
    # The summary is written last: with it the replay had ended, and is made anew.
    if target.summary.exists() or not made_by.exists():
        return False
    try:
        committed_ids(target.results)
        return bool(json.loads(made_by.read_text()) == stamp.code_version)
    except (ShardError, ValueError):
        return False


def _write_account(target: RunFolder, config: Config, view: dict[str, Any], account: Account) -> None:
    """What makes the folder one that reads like a run's; the summary last, for it says that the replay has ended."""
    target.write_identity(view, dump_yaml(replace(config, replay=False)))
    lines = (json.dumps({name: getattr(end, name) for name in RecordEnd.__slots__}) for end in account.ends)
    target.write_file(ENDS, "".join(f"{line}\n" for line in lines))
    summary = summarise_results(target.results) | {
        "finished": not account.ends,
        "search_seconds": round(account.seconds, 3),
        "simulated": uses_simulated_models(config),
        "config_digest": digest_identity(view),
        "code_version": find_code_version(),
        "replay": account.as_json(),
    }
    target.write_file("summary.json", json.dumps(summary, indent=1))


@contextmanager
def _open_record(folder: RunFolder) -> Iterator[RecordedReplies]:
    record = RecordedReplies(folder.cache)
    try:
        yield record
    finally:
        record.close()


@contextmanager
def _refuse_unreadable() -> Iterator[None]:
    """An input or a shard that cannot be read refuses the replay."""
    try:
        yield
    except ShardError as error:
        raise RefusedRun(str(error)) from None
    except InputError as error:
        raise RefusedRun(str(error)) from None
