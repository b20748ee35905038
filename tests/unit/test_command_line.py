import errno

import pytest

from mics_ray.command_line import run_program
from mics_ray.errors import LockedRun, RefusedRun


def raising(error: BaseException) -> int:
    def program() -> int:
        raise error

    return run_program(program)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_takes_no_more_ends_with_74_and_names_the_file(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(OSError(number, "no room", "runs/x/summary.json")) == 74
    assert capsys.readouterr().err == "cannot write runs/x/summary.json: no room\n"


def test_other_errors_of_the_system_are_errors_of_ours() -> None:
    with pytest.raises(FileNotFoundError):
        raising(FileNotFoundError(errno.ENOENT, "gone", "x"))


def test_refusals_and_an_interrupt_have_their_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(RefusedRun("no key")) == 78
    assert capsys.readouterr().err == "refused: no key\n"
    assert raising(LockedRun("held")) == 73
    assert raising(KeyboardInterrupt()) == 75
