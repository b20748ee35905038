from pathlib import Path

import pytest

from mics_ray.config.compose import compose_config, dump_yaml
from mics_ray.config.schema import StrategyKind
from mics_ray.errors import RefusedRun
from mics_ray.replay.replay_config import compose_job, compose_recorded

MADE_BY = ["experiment=demo", "data.cases=some.jsonl", "search.restarts=3", "seed=7", "prompts.judge='Same?\n{answer}'"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "my run, x=1"
    folder.mkdir()
    config = compose_config([*MADE_BY, "run.dir=elsewhere"])
    (folder / "config.yaml").write_text(dump_yaml(config))
    return folder


def test_what_the_command_line_leaves_open_is_the_run_s(run: Path) -> None:
    config = compose_job(["replay=true", f'run.dir="{run}"'])
    made_by = compose_config([*MADE_BY, f'run.dir="{run}"', "replay=true"])
    assert config == made_by


def test_a_setting_and_a_group_of_the_command_line_come_first(run: Path) -> None:
    config = compose_job(["replay=true", f'run.dir="{run}"', "search.max_rounds=2", "seed=8"])
    assert (config.search.max_rounds, config.search.restarts, config.seed) == (2, 3, 8)
    config = compose_job(["replay=true", f'run.dir="{run}"', "search=best_of_n", "search.restarts=0"])
    assert (config.search.strategy, config.search.restarts) == (StrategyKind.best_of_n, 0)
    assert config.search.quality_control is False
    assert set(config.mentors) == {"simulated_attending", "simulated_resident", "simulated_student"}


def test_with_an_experiment_the_command_line_is_all(run: Path) -> None:
    config = compose_job(["replay=true", "experiment=demo", f'run.dir="{run}"'])
    assert (config.search.restarts, config.seed, config.replay) == (1, 0, True)


def test_files_of_the_person_s_own_folder_can_be_chosen(run: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "search").mkdir(parents=True)
    (own / "search" / "mine.yaml").write_text("max_rounds: 9\n")
    assert compose_job(["replay=true", f'run.dir="{run}"', "search=mine"], own).search.max_rounds == 9
    with pytest.raises(RefusedRun, match="no such folder"):
        compose_job(["replay=true", f'run.dir="{run}"'], tmp_path / "gone")


def test_without_a_replay_nothing_is_read_from_the_run(run: Path) -> None:
    for more in ([], ["replay=false"]):
        with pytest.raises(RefusedRun, match="choose "):
            compose_job([f'run.dir="{run}"', *more])


def test_a_run_s_configuration_is_found_wherever_its_folder_stands(run: Path) -> None:
    config = compose_recorded(run)
    assert (config.run.dir, config.search.restarts, config.replay) == (str(run), 3, False)


def test_a_wrong_name_and_a_config_that_is_none_are_refused(run: Path) -> None:
    with pytest.raises(RefusedRun, match="max_rounds"):
        compose_job(["replay=true", f'run.dir="{run}"', "search.max_round=2"])
    (run / "config.yaml").write_text("- nothing")
    with pytest.raises(RefusedRun, match="no run in"):
        compose_recorded(run)
