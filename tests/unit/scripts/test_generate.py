"""What is wrong on the command line is said at once, before anything is started or made."""

from pathlib import Path

import pytest

from tests.support.program import generate_cpu_s


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("windw=3", "did you mean 'window'?"),
        ("mentors=papr", "did you mean 'paper'?"),
        ("window=many", "window: Value 'many'"),
        ("data.cases=${oc.env:NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"),
        ("judge.api_key_env=NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_wrong_word_is_refused_by_name_within_two_seconds(tmp_path: Path, wrong: str, said: str) -> None:
    done, cpu_s = generate_cpu_s("experiment=demo", f"run.dir={tmp_path}/run", wrong)
    assert done.returncode == 78
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert cpu_s < 2
    assert not (tmp_path / "run").exists()
