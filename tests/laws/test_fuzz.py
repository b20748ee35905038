"""Whatever bytes come, each parser keeps its promise: 500 nearly valid inputs each, 10,000 in `make test-all`."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from mics_ray.config.compose import CONF, compose_config
from tests.fuzz.kept_compose import Compose, kept
from tests.fuzz.seeds import OVERRIDES
from tests.fuzz.targets import TARGETS, generator, reply, text, verdict
from tests.support.quick_compose import compose_quickly

QUICK = ("text", "verdict", "reply", "cases", "pictures")
SEED = 1
ROOT = Path(__file__).resolve().parents[2]


def run(name: str, numbers: range, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    target = TARGETS[name]
    check = target.open(folder)
    for number in numbers:
        check(target.make(generator(SEED, name, number)))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("count", [pytest.param(500), pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", QUICK)
def test_nearly_valid_inputs(name: str, count: int, tmp_path: Path) -> None:
    run(name, range(count), tmp_path)


def test_configurations(tmp_path: Path) -> None:
    """One takes Hydra 20 ms, so only a few of them are among the fast tests."""
    run("config", range(50), tmp_path)


@pytest.mark.slow
def test_ten_thousand_configurations(tmp_path: Path) -> None:
    halves = [range(0, 10_000, 2), range(1, 10_000, 2)]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(run, ["config"] * 2, halves, [tmp_path / "even", tmp_path / "odd"]))


def outcome(make: Compose, overrides: list[str]) -> DictConfig | str:
    """A configuration, or what is wrong."""
    try:
        return make("generate", overrides)
    except ConfigCompositionException as error:
        return str(error)


@pytest.mark.heavy
def test_what_is_kept_of_hydra_s_work_gives_what_hydra_gives(tmp_path: Path) -> None:
    """Seeds of configurations and settings on top of them, each twice: the second time from what is kept."""
    searchpath = f"hydra.searchpath=['file://{tmp_path}']"
    compose_config(["experiment=demo", "run.dir=x"])  # puts the schema where Hydra finds it
    quick, found = kept(compose, "generate", tmp_path), []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for data in OVERRIDES[1:4:2]:
            lines, _, body = data.decode().partition("\n---\n")
            for group in ("mentors", "judge"):
                (tmp_path / group).mkdir(exist_ok=True)
                (tmp_path / group / "mine.yaml").write_text(body)
            overrides = [line.replace("=local,mine", "=[local,mine]") for line in [*lines.split("\n"), searchpath]]
            for more in (["seed=5"], ["window=7"], ["no_such=1"]):
                found.append(outcome(compose, [*overrides, *more]))
                assert outcome(quick, [*overrides, *more]) == found[-1]
                assert outcome(compose_quickly, [*overrides, *more]) == found[-1]
    assert {type(one) for one in found} == {DictConfig, str}


@pytest.mark.heavy
def test_atheris_breeds_inputs_from_these() -> None:
    command = [sys.executable, ROOT / "scripts/fuzz.py", "--guided", "--target", "verdict", "--inputs", "500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done 500 runs" in done.stderr


@given(st.text())
@settings(max_examples=500, deadline=None)
def test_any_text_is_read(said: str) -> None:
    data = said.encode("utf-8", "replace")
    for check in (text, verdict, reply):
        check(data)
