"""Private files: their modes under any umask, whole or not at all, and small JSON that may be cut off."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mics_ray.private_files import (
    create_private,
    make_private_folder,
    open_append,
    read_json_object,
    replace_file,
    write_private,
)


@pytest.fixture(params=[0o000, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_the_owner_s_alone_whatever_the_umask_and_its_mode_before(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a.json"
    write_private(path, "first")
    path.chmod(0o644)
    write_private(path, b"second")
    assert (path.read_text(), mode(path)) == ("second", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made_down_to_the_last_and_one_that_is_there_keeps_its_mode(tmp_path: Path, umask: int) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o755)
    make_private_folder(theirs / "a/b")
    make_private_folder(theirs / "a/b")
    assert [mode(path) for path in (theirs, theirs / "a", theirs / "a/b")] == [0o755, 0o700, 0o700]


def test_a_part_is_no_file_and_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_private(path, "whole")

    def write_parts() -> Iterator[bytes]:
        yield b"par"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), replace_file(path) as file:
        file.writelines(write_parts())
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, bytes | bool]] = []
    path, real = tmp_path / "a.bin", os.fsync

    def watched(descriptor: int) -> None:
        events.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))
        assert os.fstat(descriptor).st_size == 5
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with replace_file(path, sync=True) as file:
        file.write(b"bytes")
    assert events == [(f"{path}.tmp", False)]
    write_private(path, "other")
    assert len(events) == 1


def test_an_empty_file_is_made_once_and_a_growing_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    create_private(path)
    assert (path.read_text(), mode(path)) == ("", 0o600)
    path.chmod(0o640)
    with open(path, "a", opener=open_append) as file:
        file.write("line")
    create_private(path)
    assert (path.read_text(), mode(path)) == ("line", 0o640)
    with open(tmp_path / "b.log", "a", opener=open_append):
        pass
    assert mode(tmp_path / "b.log") == 0o600


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "\ud800"])
def test_what_is_no_object_says_nothing(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content.encode(errors="surrogatepass"))
    assert read_json_object(path) == {}
    path.write_text('{"a": 1}')
    assert read_json_object(path) == {"a": 1}
