"""What is wrong on the command line is said at once, before anything is started or made."""

from pathlib import Path

from tests.support.program import generate_cpu_s


def test_a_key_that_is_not_set_is_refused_by_name_within_two_seconds(tmp_path: Path) -> None:
    """The last of what is looked at beforehand; wrong words and choices are refused earlier (``test_compose``)."""
    done, cpu_s = generate_cpu_s("experiment=demo", f"run.dir={tmp_path}/run", "judge.api_key_env=NOT_SET_ANYWHERE")
    assert done.returncode == 78
    assert "NOT_SET_ANYWHERE is not set" in done.stderr
    assert "Traceback" not in done.stderr
    assert cpu_s < 2
    assert not (tmp_path / "run").exists()
