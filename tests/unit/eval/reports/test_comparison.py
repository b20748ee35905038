import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eval.commands import run_compare
from eval.reports.comparison import compare_evaluations, render_comparison, write_comparison
from eval.reports.report import write_evaluation_report
from mics_ray.config.compose import CONF
from mics_ray.errors import RefusedRun
from tests.support.evaluations import CONFIG, answered, evaluation, of


def two(root: Path, first: str = "wwwrwrrw", second: str = "rrrrwwrw") -> tuple[Path, Path]:
    tuned = {**CONFIG, "model": "tuned", "serve": {**CONFIG["serve"], "model": "tuned", "replicas": 2}}
    return evaluation(root / "a", of("slake", first)), evaluation(root / "b", of("slake", second), tuned)


def test_two_models_on_the_same_items(tmp_path: Path) -> None:
    found = compare_evaluations(*two(tmp_path))
    assert (found.total.difference, found.total.better, found.total.worse) == (
        0.25,
        ("slake/0", "slake/1", "slake/2"),
        ("slake/5",),
    )
    assert found.total.clusters == 4  # two items a picture
    assert found.total.p_value == pytest.approx(0.625)
    assert list(found.served_differently) == []
    text = render_comparison(found)
    assert text.startswith("# tuned (B) against base (A)")
    assert "| slake | lenient | 8 | 37.5 | 62.5 | +25.0 | " in text
    assert "better: slake/0, slake/1, slake/2\n\nworse: slake/5" in text
    assert "gold" not in text


def test_a_model_that_only_learnt_the_form_gains_strictly_and_not_leniently(tmp_path: Path) -> None:
    a, b = two(tmp_path, "llwlww", "rrwrww")
    found = compare_evaluations(a, b)
    assert (found.total.difference, found.strict_total.difference) == (0.0, 0.5)
    assert found.strict_total.better == ("slake/0", "slake/1", "slake/3")
    text = render_comparison(found)
    assert "| slake | lenient | 6 | 50.0 | 50.0 | +0.0 |" in text
    assert "| slake | strict | 6 | 0.0 | 50.0 | +50.0 |" in text
    assert "Flipped" not in text
    stored = found.as_json()
    assert (stored["all"]["difference"], stored["all"]["strict"]["difference"]) == (0.0, 0.5)
    assert stored["benchmarks"]["slake"]["strict"]["better"] == ("slake/0", "slake/1", "slake/3")


def test_rows_of_the_version_before_are_refused_by_their_name(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    (shard,) = (a / "results").glob("*.parquet")
    table = pq.read_table(shard)
    old = table.drop_columns(["kept_form", "unread", "lenient", "strict"]).append_column("verdict", table["lenient"])
    pq.write_table(old, shard)
    for read in (lambda: compare_evaluations(a, b), lambda: write_evaluation_report(a)):
        with pytest.raises(
            RefusedRun, match=r"verdict.*rows of version 1 have one verdict, neither lenient nor strict"
        ):
            read()


def test_files_with_the_flipped_items_are_private(tmp_path: Path) -> None:
    write_comparison(compare_evaluations(*two(tmp_path)), tmp_path / "out")
    flips = [json.loads(line) for line in (tmp_path / "out" / "flips.jsonl").read_text().splitlines()]
    assert [(flip["change"], flip["item_id"]) for flip in flips] == [
        *(("better", f"slake/{number}") for number in range(3)),
        ("worse", "slake/5"),
    ]
    assert (flips[0]["gold"], flips[0]["parsed_a"], flips[0]["parsed_b"]) == ("gold 0", "other", "gold 0")
    stored = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert (stored["all"]["difference"], stored["benchmarks"]["slake"]["worse"]) == (0.25, ["slake/5"])
    for path in (tmp_path / "out").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_the_files_go_into_a_folder_that_may_be_there_or_not(tmp_path: Path) -> None:
    for _ in range(2):
        write_comparison(compare_evaluations(*two(tmp_path)), tmp_path / "deep" / "er" / "out")
    assert len(list((tmp_path / "deep/er/out").iterdir())) == 3
    assert (tmp_path / "deep/er/out/compare.md").read_text() == render_comparison(compare_evaluations(*two(tmp_path)))


def test_what_only_one_has_and_what_was_lost_is_counted(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", [*of("slake", "rwu"), *of("extra", "r")])
    b = evaluation(tmp_path / "b", [*of("slake", "rrrw"), *of("more", "rr")])
    found = compare_evaluations(a, b)
    assert (found.total.items, found.lost, found.only_a, found.only_b) == (2, 1, 1, 3)
    assert list(found.benchmarks) == ["slake"]
    assert "Left out: 1 items whose call was lost on a side, 1 items that only A has, 3" in render_comparison(found)


def test_several_benchmarks_have_a_line_each_and_one_for_all(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", [*of("slake", "ww"), *of("more", "rr")])
    b = evaluation(tmp_path / "b", [*of("slake", "rr"), *of("more", "rr")])
    found = compare_evaluations(a, b)
    assert [paired.difference for paired in found.benchmarks.values()] == [1.0, 0.0]
    assert "| all items | lenient | 4 | 50.0 | 100.0 | +50.0 |" in render_comparison(found)


def test_one_benchmark_alone_has_no_line_for_all(tmp_path: Path) -> None:
    lines = render_comparison(compare_evaluations(*two(tmp_path))).splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("| ")] == ["| benchmark", "| slake", "| slake"]


def test_a_benchmark_without_an_item_that_both_answered_has_dashes_and_is_no_flip(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", [*of("slake", "uu"), *of("more", "wr")])
    b = evaluation(tmp_path / "b", [*of("slake", "rw"), *of("more", "rw")])
    text = render_comparison(compare_evaluations(a, b))
    assert "| slake | strict | 0 | – | – | – | – | – | – | 0 | 0 |\n" in text
    assert "## Flipped in slake" not in text
    assert "## Flipped in more\n\nbetter: more/0\n\nworse: more/1\n" in text
    assert text.endswith("worse: more/1\n")


def test_the_flips_of_one_direction_alone_are_listed(tmp_path: Path) -> None:
    a, b = two(tmp_path, "wwrr", "wrrr")
    assert "## Flipped in slake\n\nbetter: slake/1\n\nworse: none\n" in render_comparison(compare_evaluations(a, b))
    assert "## Flipped in slake\n\nbetter: none\n\nworse: slake/1\n" in render_comparison(compare_evaluations(b, a))
    assert "Flipped" not in render_comparison(compare_evaluations(a, a))


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("rw", "rw", None),
        ("rwu", "rww", "Left out: 1 items whose call was lost on a side, 0 items that only A has, 0 that only B has."),
        ("rww", "rw", "Left out: 0 items whose call was lost on a side, 1 items that only A has, 0 that only B has."),
        ("rw", "rwww", "Left out: 0 items whose call was lost on a side, 0 items that only A has, 2 that only B has."),
    ],
)
def test_each_way_of_being_left_out_is_told_alone(tmp_path: Path, first: str, second: str, told: str | None) -> None:
    text = render_comparison(compare_evaluations(*two(tmp_path, first, second)))
    assert [line for line in text.splitlines() if line.startswith("Left out")] == ([told] if told else [])
    assert "Not served alike" not in text


def test_the_line_of_a_benchmark_says_difference_interval_and_p(tmp_path: Path) -> None:
    """Gains over four pictures of two items: 2, 1, -1, 0, so mean 1/4, spread 7/16 and variance 4/3 · 5 / 64 = 5/48:
    4.2 pairs. Centre 1.05 / 6.2, square (2.1 + 2) / 6.2. Of net flips 2, 1, 1 six of eight sums reach 2."""
    half = 3.182446 * ((4.1 / 6.2 - (1.05 / 6.2) ** 2) / 6.2) ** 0.5
    low, high = max(-1, 1.05 / 6.2 - half), min(1, 1.05 / 6.2 + half)
    expected = (
        f"| slake | lenient | 8 | 37.5 | 62.5 | +25.0 | {100 * low:+.1f} to {100 * high:+.1f} | 0.62 | 0.75 | 3 | 1 |"
    )
    text = render_comparison(compare_evaluations(*two(tmp_path)))
    assert expected in text
    assert "Pictures repeat (8 items, 4 pictures)" in text


def test_without_repeated_pictures_mcnemars_is_the_test_to_read(tmp_path: Path) -> None:
    sides = [
        evaluation(tmp_path / name, [answered("slake", n, one, cluster="") for n, one in enumerate(verdicts)])
        for name, verdicts in (("a", "wwww"), ("b", "rrww"))
    ]
    text = render_comparison(compare_evaluations(*sides))
    assert "| p | better | worse |" in text
    assert "No picture repeats: p is the test to read." in text


def test_one_picture_has_a_difference_without_interval(tmp_path: Path) -> None:
    text = render_comparison(compare_evaluations(*two(tmp_path, "ww", "rw")))
    assert "| slake | lenient | 2 | 0.0 | 50.0 | +50.0 | – (one picture) | 1 | 1 | 1 | 0 |" in text


def test_another_way_of_serving_is_listed(tmp_path: Path) -> None:
    changed = {
        **CONFIG,
        "serve": {**CONFIG["serve"], "processor_kwargs": {"max_patches": 12}},
        "prompts": {**CONFIG["prompts"], "judge": "another"},
        "eval": {**CONFIG["eval"], "temperature": 0.7},
    }
    a, b = evaluation(tmp_path / "a", of("slake", "r")), evaluation(tmp_path / "b", of("slake", "r"), changed)
    found = compare_evaluations(a, b)
    assert list(found.served_differently) == [
        "prompts.judge: (text of 150 characters) -> another",
        "sampling.temperature: 0.0 -> 0.7",
        "serve.processor_kwargs.max_patches: 6 -> 12",
    ]
    assert "**Not served alike**" in render_comparison(found)


def test_folders_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", of("slake", "r"))
    with pytest.raises(RefusedRun, match="have no common items"):
        compare_evaluations(a, evaluation(tmp_path / "b", of("other", "r")))
    with pytest.raises(RefusedRun, match="item slake/0 is another one in"):
        compare_evaluations(a, evaluation(tmp_path / "c", [answered("slake", 0, "r", answer="something else")]))
    with pytest.raises(RefusedRun, match="holds no evaluation"):
        compare_evaluations(a, tmp_path / "nothing")


def test_the_program_compares_refuses_and_says_how_it_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = map(str, two(tmp_path))
    assert run_compare([a, b]) == 0
    done = capsys.readouterr()
    assert "| slake | lenient | 8 | 37.5 | 62.5 | +25.0 | " in done.out
    assert (done.out.count("written to"), done.err) == (0, "")
    assert run_compare([a, b, "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.endswith(f"written to {tmp_path / 'out'}\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.json", "compare.md", "flips.jsonl"}
    assert run_compare([a, str(tmp_path / "nothing")]) == 78
    refused = capsys.readouterr()
    assert (refused.out, refused.err.count("\n")) == ("", 1)
    assert run_compare([a]) == 64
    assert run_compare(["--help"]) == 0
    (tmp_path / "file").touch()
    capsys.readouterr()
    assert run_compare([a, b, "--out", str(tmp_path / "file" / "out")]) == 74
    assert capsys.readouterr().err.startswith(f"cannot write {tmp_path / 'file' / 'out'}")


def test_the_script_is_the_program(tmp_path: Path) -> None:
    program = [sys.executable, str(CONF.parent / "scripts/compare.py"), "only-one"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "usage: compare.py" in done.stderr


@pytest.mark.parametrize("other", [{"question": "Another?"}, {"answer": "another"}, {"images": ("other.png",)}])
def test_an_item_of_other_content_under_the_same_id_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    a = evaluation(tmp_path / "a", of("slake", "rw"))
    b = evaluation(tmp_path / "b", [answered("slake", 0, "r", **other), answered("slake", 1, "w")])
    with pytest.raises(RefusedRun, match="item slake/0 is another one"):
        compare_evaluations(a, b)


def test_flips_are_written_as_people_read_them(tmp_path: Path) -> None:
    sides = [
        evaluation(tmp_path / name, [answered("slake", 0, verdict, question="Größe?")])
        for name, verdict in (("a", "w"), ("b", "r"))
    ]
    write_comparison(compare_evaluations(*sides), tmp_path / "out")
    assert '"question": "Größe?"' in (tmp_path / "out/flips.jsonl").read_text(encoding="utf-8")
