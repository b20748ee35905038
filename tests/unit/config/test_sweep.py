"""`-m`: which command lines a sweep stands for, and the folder of each."""

from pathlib import Path

import pytest

from mics_ray.config.compose import compose_config
from mics_ray.config.sweep import Combination, expand_sweep, find_value, place_combination
from mics_ray.errors import RefusedRun


def names(*overrides: str, config_dir: Path | None = None) -> list[str]:
    return [one.name for one in expand_sweep(overrides, "generate", config_dir)]


def test_every_combination_once_in_the_order_of_the_command_line() -> None:
    found = expand_sweep(["experiment=demo", "search=paper,best_of_n", "seed=0,1", "window=3"], "generate")
    assert [one.name for one in found] == [
        "search=paper,seed=0", "search=paper,seed=1", "search=best_of_n,seed=0", "search=best_of_n,seed=1"
    ]  # fmt: skip
    assert found[1].overrides == ("experiment=demo", "search=paper", "seed=1", "window=3")


def test_a_list_in_brackets_is_one_value() -> None:
    assert names("mentors=[local,paper]", "seed=1") == [""]
    assert names("search.intern_temperatures=[0.3],[0.3,1.2]") == [
        "search.intern_temperatures=[0.3]", "search.intern_temperatures=[0.3,1.2]"
    ]  # fmt: skip
    [one] = expand_sweep(["mentors=[local,paper]"], "generate")
    assert one.overrides == ("mentors=[local,paper]",)


def test_ranges_choices_globs_and_added_names() -> None:
    assert names("seed=range(0,3)") == ["seed=0", "seed=1", "seed=2"]
    assert names("seed=choice(4,7)") == ["seed=4", "seed=7"]
    assert names("search=glob(*e*,exclude=ref*)") == ["search=best_of_n", "search=paper"]
    [one, _] = expand_sweep(["+interns.tiny_internvl.engine_kwargs.a=1,2"], "generate")
    assert one == Combination("interns.tiny_internvl.engine_kwargs.a=1", ("+interns.tiny_internvl.engine_kwargs.a=1",))


def test_a_glob_finds_the_persons_own_files(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "prudent.yaml").write_text("max_rounds: 3\n")
    assert names("search=glob(pru*)", config_dir=tmp_path) == ["search=prudent"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["seed=0,1,0"], "seed=0 is given twice"),
        (["search=glob(nothing*)"], "glob(…) finds nothing in conf/search"),
        (["search.mentor_temperature=interval(0,1)"], "search.mentor_temperature: an interval"),
        (["garbage"], "cannot read the override 'garbage'"),
        (["seed=range(0,"], "cannot read the override"),
    ],
)
def test_what_cannot_be_swept_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(RefusedRun) as caught:
        expand_sweep(overrides, "generate")
    assert words in str(caught.value)


def test_each_combination_has_a_folder_below_the_jobs_own() -> None:
    [one, _] = expand_sweep(["experiment=demo", "run.dir=here", "seed=0,1"], "generate")
    placed = place_combination(one, "run.dir", find_value(one.overrides, "run.dir"))
    assert placed.overrides == ("experiment=demo", "seed=0", 'run.dir="here/seed=0"')
    assert compose_config(placed.overrides).run.dir == "here/seed=0"


def test_values_with_slashes_stay_one_folder_and_long_ones_stay_apart() -> None:
    [one, other] = expand_sweep(["data.cases=/a/b.jsonl,'/a/c d.jsonl'"], "generate")
    assert place_combination(one, "run.dir", "r").overrides[-1] == 'run.dir="r/data.cases=%2Fa%2Fb.jsonl"'
    spaced = place_combination(other, "run.dir", "r").overrides
    assert compose_config(["experiment=demo", *spaced]).run.dir.count("/") == 1
    long = [place_combination(Combination("x=" + "a" * 300 + end, ()), "run.dir", None).overrides[-1] for end in "bc"]
    assert long[0] != long[1]
    assert all(len(line) < 255 for line in long)


def test_a_sweep_with_nothing_to_sweep_is_the_job_itself() -> None:
    [one] = expand_sweep(["run.dir='odd, \"name\"'"], "generate")
    folder = find_value(one.overrides, "run.dir")
    assert folder == 'odd, "name"'
    placed = place_combination(one, "run.dir", folder)
    assert compose_config(["experiment=demo", *placed.overrides]).run.dir == folder
