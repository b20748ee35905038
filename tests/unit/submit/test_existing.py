"""Where a token may go, and where it comes from."""

from pathlib import Path

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.submit.existing import parse_address, read_token


@pytest.mark.parametrize("address", ["http://gpu-head:8265", "http://192.0.2.7:8265", "gpu-head:8265"])
def test_a_token_does_not_travel_in_clear(address: str) -> None:
    with pytest.raises(RefusedRun, match="use https, or a tunnel"):
        parse_address(address)


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "http://", "http://u:p@127.0.0.1:8265", "http://h:port"])
def test_what_is_no_dashboard_is_refused(address: str) -> None:
    with pytest.raises(RefusedRun, match="give the dashboard as"):
        parse_address(address)


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.delenv("T", raising=False)
    assert read_token("T", str(tmp_path / "token")) == "from-file"
    assert read_token("T", None) is None
    monkeypatch.setenv("T", "from-environment")
    assert read_token("T", str(tmp_path / "token")) == "from-environment"


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T", raising=False)
    with pytest.raises(RefusedRun, match=r"cluster\.token_file: cannot read"):
        read_token("T", str(tmp_path / "gone"))
