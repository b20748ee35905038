import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from eval.reports.comparison import compare_evaluations, render_comparison
from eval.reports.report import write_evaluation_report
from eval.rows import ANSWERS, answer_row
from eval.types import ChainState, OwnChain
from mics_ray.core.types import Usage
from mics_ray.errors import RefusedRun
from mics_ray.io.rows import Stamp
from mics_ray.io.shards.store import ShardStore
from tests.support.evaluations import CONFIG, answered, evaluation, of


def test_the_three_files_are_private_and_say_the_same(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "e", of("slake", "rrwn"))
    report = write_evaluation_report(folder)
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["benchmarks"]["slake"]["accuracy"] == 0.5
    assert "| slake * | 4 | 50.0 |" in (folder / "report.md").read_text()
    picture = Image.open(io.BytesIO((folder / "report.png").read_bytes()))
    assert picture.format == "PNG"
    assert picture.width > 1000
    assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 50  # something is drawn
    for name in ("report.json", "report.md", "report.png"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_strict_accuracy_stands_beside_the_lenient_one_and_what_was_not_read_is_counted(tmp_path: Path) -> None:
    several = replace(answered("slake", 8, "n"), unread="ambiguous: A and B", kept_form=True)
    report = write_evaluation_report(evaluation(tmp_path, [*of("slake", "rllwnu"), several]))
    found = report["benchmarks"]["slake"]
    assert (found["accuracy"], found["strict"], found["ambiguous"], found["lost"]) == (3 / 6, 1 / 6, 1, 1)
    assert (found["parse_rate"], found["form_rate"]) == (4 / 6, 3 / 6)
    assert found["strict_low"] < 1 / 6 < found["strict_high"]
    text = (tmp_path / "report.md").read_text()
    assert "| slake * | 7 | 50.0 | " in text
    assert " | 16.7 | " in text
    assert text.rstrip().count("Lenient: any answer that leaves no doubt counts") == 1


def test_benchmarks_stand_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    items = [*of("another", "r"), *of("medxpertqa_mm", "w"), *of("slake", "r")]
    report = write_evaluation_report(evaluation(tmp_path, items))
    assert list(report["benchmarks"]) == ["slake", "medxpertqa_mm", "another"]
    assert report["mean_of_benchmarks"] == pytest.approx(2 / 3)
    assert (report["all"]["items"], report["all"]["clusters"]) == (3, 3)  # the same picture name in three sets


def test_scores_have_a_column_only_where_rows_have_them(tmp_path: Path) -> None:
    write_evaluation_report(evaluation(tmp_path / "a", of("slake", "rw")))
    assert "BERTScore" not in (tmp_path / "a" / "report.md").read_text()
    write_evaluation_report(
        evaluation(tmp_path / "b", of("slake", "rw"), bert_score=0.75, own_chain=OwnChain(ChainState.SCORED, 0.5))
    )
    text = (tmp_path / "b" / "report.md").read_text()
    assert "MICS-Score | BERTScore F1 |" in text
    assert "| 0.500 | 0.750 |" in text


def test_the_mics_score_says_over_how_many_chains_it_is_and_what_they_leak(tmp_path: Path) -> None:
    """Three scored (one of them leaks), two without the form, one lost: the mean is over three, and over two."""
    chains = [
        OwnChain(ChainState.SCORED, 1.0, ("answer",)),
        OwnChain(ChainState.SCORED, 0.5),
        OwnChain(ChainState.LOST),
    ]
    chains += [OwnChain(ChainState.SCORED, 0.25), *[OwnChain(ChainState.NO_FORM)] * 2]
    folder, stamp = evaluation(tmp_path, []), Stamp(0, "digest", "0.1.0")
    rows = [
        answer_row(one, "prompt", Usage(), 1.0, stamp, own_chain=own)
        for one, own in zip(of("slake", "rwrwrw"), chains, strict=True)
    ]
    ShardStore(folder / "results", ANSWERS).commit(rows)
    found = write_evaluation_report(folder)["benchmarks"]["slake"]
    assert found["mics_score"] == pytest.approx(7 / 12)
    assert (found["mics_clean"], found["mics_scored"], found["mics_leaking"]) == (0.375, 3, 1)
    assert (found["mics_no_form"], found["mics_lost"]) == (2, 1)
    assert "| slake | 3 | 2 | 1 | 1 | 0.583 | 0.375 |" in (tmp_path / "report.md").read_text()


def test_an_evaluation_that_asked_for_no_mics_score_tells_of_no_chains(tmp_path: Path) -> None:
    write_evaluation_report(evaluation(tmp_path, of("slake", "rw")))
    assert "own chains" not in (tmp_path / "report.md").read_text()


def test_every_call_lost_gives_a_report_without_numbers(tmp_path: Path) -> None:
    report = write_evaluation_report(evaluation(tmp_path, of("slake", "uu")))
    assert (report["benchmarks"]["slake"]["accuracy"], report["mean_of_benchmarks"]) == (None, None)
    assert "| slake * | 2 | – | – | – | – | – | – | 0 | 2 |" in (tmp_path / "report.md").read_text()


def test_how_the_model_was_served_is_told_without_the_wording_of_prompts(tmp_path: Path) -> None:
    config = {**CONFIG, "serve": {**CONFIG["serve"], "adapter": "runs/lora"}}
    report = write_evaluation_report(evaluation(tmp_path, of("slake", "r"), config))
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# Evaluation of base + runs/lora\n")
    assert "| `serve.processor_kwargs.max_patches` | 6 |" in text
    assert "| `sampling.temperature` | 0.0 |" in text
    assert "| `prompts.judge` | (text of 150 characters) |" in text
    assert "The judge was **simulated**" in text
    assert not {"serve.model", "serve.adapter", "serve.replicas", "judge.base_url"} & set(report["served"])


def test_a_folder_without_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match=r"holds no evaluation \(no config\.yaml\)"):
        write_evaluation_report(tmp_path)
    (tmp_path / "config.yaml").write_text("mentors: {}\n")
    with pytest.raises(RefusedRun, match="not the configuration of an evaluation"):
        write_evaluation_report(tmp_path)
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(RefusedRun, match="damaged"):
        write_evaluation_report(tmp_path)
    (tmp_path / "config.yaml").write_text("eval: {}\n")
    with pytest.raises(RefusedRun, match="holds no rows yet"):
        write_evaluation_report(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "part-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(RefusedRun, match=r"part-000000\.parquet: damaged"):
        write_evaluation_report(tmp_path)


def test_an_empty_reply_counts_against_the_parse_rate_and_a_lost_call_does_not(tmp_path: Path) -> None:
    silent = replace(answered("slake", 9, "n"), output="")
    report = write_evaluation_report(evaluation(tmp_path, [*of("slake", "rru"), silent]))
    assert report["benchmarks"]["slake"]["parse_rate"] == pytest.approx(2 / 3)


def test_a_prompt_that_does_not_ask_for_the_form_is_told(tmp_path: Path) -> None:
    bare = {**CONFIG, "prompts": {**CONFIG["prompts"], "intern": "{question}"}}
    for name, config, asked in (("a", CONFIG, True), ("b", bare, False)):
        report = write_evaluation_report(evaluation(tmp_path / name, of("slake", "rl"), config))
        assert report["asked_for_form"] is asked
        assert ("does **not ask for the form**" in (tmp_path / name / "report.md").read_text()) is not asked
    found = compare_evaluations(tmp_path / "a", tmp_path / "b")
    assert "does **not ask for the form**" in render_comparison(found)
