"""A reviewer's file: nothing that counted is lost, nothing damaged is believed, nobody overwrites unseen."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.review.marks.book import StaleMark
from mics_ray.review.marks.mark import MOST_COMMENT, Target
from mics_ray.review.marks.reviewers import check_reviewer, find_file, list_reviewers
from mics_ray.review.marks.store import open_store, read_marks

STEP, CHAIN = Target("c", "d" * 16, 2), Target("c", "d" * 16, None)
COMMENT = 'naïve "quoted"\nsecond line\u2028\x00\udc80'


def test_marks_come_back_as_they_were_set(tmp_path: Path) -> None:
    with open_store(tmp_path, "ann") as store:
        first = store.set_mark(STEP, "wrong", COMMENT, 0)
        assert first is not None
        store.set_mark(CHAIN, "reject", "", 0)
        store.set_mark(STEP, "right", "", first.number)
    book = read_marks(find_file(tmp_path, "ann")).book
    assert book.current[STEP].verdict == "right"
    assert book.current[CHAIN].verdict == "reject"
    assert book.marks[0].comment.startswith('naïve "quoted"\nsecond line\u2028')
    assert oct(find_file(tmp_path, "ann").stat().st_mode)[-3:] == "600"
    assert oct((tmp_path / "reviews").stat().st_mode)[-3:] == "700"


def test_a_mark_that_answers_another_state_is_refused_with_what_stands(tmp_path: Path) -> None:
    with open_store(tmp_path, "ann") as store:
        first = store.set_mark(STEP, "right", "", 0)
        with pytest.raises(StaleMark) as stale:
            store.set_mark(STEP, "wrong", "", 0)
        assert stale.value.current == first
        # Asked again after a lost reply: it stands already.
        assert store.set_mark(STEP, "right", "", 0) == first
        assert store.set_mark(CHAIN, None, "", 0) is None
        assert len(store.book.marks) == 1


def test_undoing_is_an_entry_and_goes_back_step_by_step(tmp_path: Path) -> None:
    with open_store(tmp_path, "ann") as store:
        for number, verdict in enumerate(("right", "wrong", "unsure")):
            store.set_mark(STEP, verdict, verdict, number)
        seen = []
        while last := store.book.find_last():
            mark = store.undo_mark(last.number)
            assert mark is not None
            seen.append((mark.verdict, mark.comment))
            assert store.undo_mark(last.number) == mark  # asked again
        assert seen == [("wrong", "wrong"), ("right", "right"), (None, "")]
        assert [mark.undoes for mark in store.book.marks] == [None, None, None, 3, 2, 1]
        # What was undone and marked anew is undone to nothing, not to what was undone.
        store.set_mark(STEP, "wrong", "", 6)
        undone = store.undo_mark(7)
        assert undone is not None
        assert undone.verdict is None
        with pytest.raises(ValueError, match="no such mark"):
            store.undo_mark(4)
    assert read_marks(find_file(tmp_path, "ann")).book.current[STEP].verdict is None


def test_a_mark_under_another_of_its_target_is_not_undone(tmp_path: Path) -> None:
    with open_store(tmp_path, "ann") as store:
        store.set_mark(STEP, "right", "", 0)
        store.set_mark(STEP, "wrong", "", 1)
        with pytest.raises(StaleMark):
            store.undo_mark(1)


@pytest.mark.parametrize(
    ("target", "verdict", "comment"),
    [(STEP, "accept", ""), (CHAIN, "right", ""), (STEP, "Right", ""), (STEP, "right", "x" * (MOST_COMMENT + 1))],
)
def test_what_cannot_be_said_is_refused(target: Target, verdict: str, comment: str, tmp_path: Path) -> None:
    with open_store(tmp_path, "ann") as store, pytest.raises(ValueError, match=r"verdict|comment"):
        store.set_mark(target, verdict, comment, 0)
    assert not find_file(tmp_path, "ann").exists()


def test_a_file_cut_at_any_byte_keeps_its_whole_lines_and_goes_on(tmp_path: Path) -> None:
    """A crash may leave any part of the last line; all before it was synced."""
    with open_store(tmp_path, "ann") as store:
        for number, verdict in enumerate(("right", "wrong", "unsure")):
            store.set_mark(STEP, verdict, "ä\n", number)
    path = find_file(tmp_path, "ann")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for size in range(len(lines[0]) - 1, len(whole) + 1):
        path.write_bytes(whole[:size])
        complete = whole[:size].count(b"\n")
        read = read_marks(path)
        assert len(read.book.marks) == complete
        assert read.torn == size - len(b"".join(lines[:complete]))
    path.write_bytes(whole[:-5] + b"\0\0")
    with open_store(tmp_path, "ann") as store:
        store.set_mark(CHAIN, "accept", "", 0)
    assert path.read_bytes().startswith(b"".join(lines[:2]))
    assert [mark.verdict for mark in read_marks(path).book.marks] == ["right", "wrong", "accept"]


@pytest.mark.parametrize("damage", ["drop", "double", "swap", "text", "type", "other"])
def test_a_damaged_line_before_the_last_is_refused_and_named(damage: str, tmp_path: Path) -> None:
    with open_store(tmp_path, "ann") as store:
        for number, verdict in enumerate(("right", "wrong", "unsure")):
            store.set_mark(STEP, verdict, "secret", number)
    path = find_file(tmp_path, "ann")
    lines = path.read_bytes().splitlines(keepends=True)
    made = {
        "drop": [lines[0], lines[2]],
        "double": [lines[0], lines[0], *lines[1:]],
        "swap": [lines[1], lines[0], lines[2]],
        "text": [lines[0], b"\x00\xff secret\n", lines[2]],
        "type": [lines[0], lines[1].replace(b'"answers":1', b'"answers":true'), lines[2]],
        "other": [lines[0], b'{"verdict":"secret"}\n', lines[2]],
    }
    path.write_bytes(b"".join(made[damage]))
    with pytest.raises(RefusedRun, match=r"ann\.jsonl, line [12]: ") as refused:
        read_marks(path)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("failing", ["write", "short", "fsync"])
def test_a_mark_that_cannot_be_kept_changes_nothing(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def fail(descriptor: int, data: bytes = b"") -> int:
        if failing == "short" and len(data) > 20:
            return write(descriptor, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_store(tmp_path, "ann") as store:
        store.set_mark(STEP, "right", "", 0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync" if failing == "fsync" else "write", fail)
            with pytest.raises(OSError, match="No space"):
                store.set_mark(STEP, "wrong", "", 1)
        # Nor does a reader, or a crash at this moment, find what was said not to be kept.
        assert len(read_marks(find_file(tmp_path, "ann")).book.marks) == 1
        assert store.book.current[STEP].verdict == "right"
        store.set_mark(STEP, "unsure", "", 1)
    assert [mark.verdict for mark in read_marks(find_file(tmp_path, "ann")).book.marks] == ["right", "unsure"]


def test_a_part_that_could_not_be_taken_back_is_cut_off_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with open_store(tmp_path, "ann") as store:
        store.set_mark(STEP, "right", "", 0)

        def fail_half(descriptor: int, data: bytes) -> int:
            write(descriptor, data[: len(data) // 2])
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail_half)
            patch.setattr(os, "ftruncate", lambda *_: fail_half(-1, b""))
            with pytest.raises(OSError, match="Input/output"):
                store.set_mark(STEP, "wrong", "", 1)
        assert read_marks(find_file(tmp_path, "ann")).torn > 0
        store.set_mark(STEP, "unsure", "", 1)
    assert [mark.verdict for mark in read_marks(find_file(tmp_path, "ann")).book.marks] == ["right", "unsure"]


def test_what_another_program_appended_is_not_lost(tmp_path: Path) -> None:
    with open_store(tmp_path, "ann") as store:
        store.set_mark(STEP, "right", "", 0)
        with find_file(tmp_path, "ann").open("ab") as file:
            file.write(b"theirs\n")
        with pytest.raises(RefusedRun, match="another program"):
            store.set_mark(STEP, "wrong", "", 1)
    assert find_file(tmp_path, "ann").read_bytes().endswith(b"theirs\n")


def test_one_server_a_reviewer_and_several_reviewers_a_run(tmp_path: Path) -> None:
    with open_store(tmp_path, "ann"), open_store(tmp_path, "bob") as other:
        with pytest.raises(LockedRun, match="ann has a review"), open_store(tmp_path, "ann"):
            pass
        other.set_mark(STEP, "right", "", 0)
    assert list_reviewers(tmp_path) == ["bob"]
    with open_store(tmp_path, "ann"):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from mics_ray.review.marks.mark import Target
from mics_ray.review.marks.store import open_store
name, nth = sys.argv[2], int(sys.argv[3])
real, calls = getattr(os, name), 0
def strike(*arguments):
    global calls
    calls += 1
    if calls == nth:
        if name == "write":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
with open_store(Path(sys.argv[1]), "ann") as store:
    setattr(os, name, strike)
    for number in range(3):
        store.set_mark(Target("c", "d" * 16, 1), ("right", "wrong")[number % 2], "", len(store.book.marks))
        print(number, flush=True)
"""


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["open", "write", "fsync", "close"])
def test_a_process_killed_at_any_write_loses_nothing_that_it_answered_for(name: str, tmp_path: Path) -> None:
    for nth in (1, 2, 3, 4):
        folder = tmp_path / str(nth)
        words = [sys.executable, "-c", KILLED, str(folder), name, str(nth)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        told = done.stdout.split()
        assert done.returncode == (-9 if done.returncode else 0), done.stderr
        assert done.returncode == -9 or len(told) == 3
        with open_store(folder, "ann") as store:  # at once: the dead one's lock is recognised
            assert len(told) <= len(store.book.marks) <= len(told) + 1
            assert store.set_mark(CHAIN, "accept", "", 0)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a b", "-a", "_a", ".a", "a\n", "a\0", "x" * 101, "nul", "COM1.x", "a.", "a.jsonl"],
)
def test_a_name_that_is_no_safe_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match="reviewer: "):
        check_reviewer(tmp_path, name)


def test_names_of_any_alphabet_and_one_reviewer_has_one_name(tmp_path: Path) -> None:
    assert [check_reviewer(tmp_path, name) for name in ("anna", "a.mueller-2", "Jose\u0301", "李", "7")] == [
        "anna", "a.mueller-2", "Jos\u00e9", "李", "7",
    ]  # fmt: skip
    with open_store(tmp_path, "Anna") as store:
        store.set_mark(STEP, "right", "", 0)
    with pytest.raises(RefusedRun, match="reviewer=Anna"):
        check_reviewer(tmp_path, "anna")
