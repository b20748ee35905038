"""The whole way from run folders to an export, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.lock import RunLock
from tests.support.program import ROOT
from tests.support.run_folders import job, make_run, noise, row
from train.commands import run_export
from train.export.export import write_export
from train.export.forms.pairs import step_pairs, to_mpo_record
from train.export.writer import list_files
from train.stages import read_stages

DEAD = row("dead", ({"ann": "wwww"},), "a", "dead_end")


def case(number: int, **more: Any) -> dict[str, Any]:
    own = {"question": f"What is shown in {number}?", "images": (f"{number}.png",)}
    return row(f"p{number // 2}-{number}", **(own | more))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def report(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "report.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", [*map(case, range(8)), DEAD, row("text", images=(), question="Why so?")])


def test_every_record_loads_as_itself(tmp_path: Path, run: Path) -> None:
    found = write_export(job(run, tmp_path / "x"))
    records = lines(tmp_path / "x/train.jsonl")
    assert len({record["id"] for record in records}) == len(records) == found["kept"] == 9
    for record in records:
        human, gpt = record["conversations"]
        images = record.get("image", [])
        assert human["value"].count("<image>") == len(images)
        asked = "Look at the pictures" if images else "Finish the reasoning"
        assert human["value"].startswith("<image>\n" * len(images) + asked)
        assert gpt["value"].count("<image>") == 0
        assert "### The final answer is: Gold" in gpt["value"]
        assert record["length"] <= 8192
        for image in images:
            assert Image.open(tmp_path / "x" / image).mode == "RGB"
    (stage,) = read_stages(tmp_path / "x")
    assert (stage.name, stage.sample_count) == ("chains", 9)
    assert stage.entries[0].annotation == tmp_path / "x/train.jsonl"


def test_the_context_that_interns_saw_is_in_every_form_and_that_it_names_the_answer_is_told(tmp_path: Path) -> None:
    context = "Complaint: Gold?\nAge: 70"
    write_export(
        job(make_run(tmp_path / "run", [row(context=context), row("case-2", images=("b.png",))]), tmp_path / "x")
    )
    prompts = {
        "train": [record["conversations"][0]["value"] for record in lines(tmp_path / "x/train.jsonl")],
        "chat": [record["messages"][0]["content"] for record in lines(tmp_path / "x/chat.jsonl")],
        "rewards": [record["question"] for record in lines(tmp_path / "x/rewards.jsonl")],
        "pairs": [
            pair["prompt"][0]["content"][-1]["text"]
            for kind in ("steps", "chains")
            for pair in lines(tmp_path / f"x/pairs/{kind}.jsonl")
        ],
    }
    for name, texts in prompts.items():
        told = [f"What is shown?\n\n{context}\n" in text for text in texts]
        assert sorted(set(told)) == [False, True], name
    (shard,) = (tmp_path / "x/dataset/data").glob("*.parquet")
    assert sorted(pq.read_table(shard)["context"].to_pylist()) == ["", context]
    assert any(note.startswith("1 samples have a context") for note in report(tmp_path / "x")["notes"])


def test_the_report_accounts_for_every_row(tmp_path: Path, run: Path) -> None:
    write_export(job(run, tmp_path / "x", "select.max_rounds=2", "export.license=cc-by-4.0"))
    found = report(tmp_path / "x")
    assert (found["kept"], found["dropped"]) == (9, {"outcome": 1})
    assert found["dropped_ids"] == {"outcome": [{"id": "dead", "run": "run", "detail": "dead_end"}]}
    assert found["pictures"] == {"copied": 8, "referenced": 0, "re-encoded": 0}
    assert found["runs"][0]["rows"] == 10
    assert found["runs"][0]["models"]["mentors"] == {"ann": "gpt", "bob": "qwen"}
    assert found["config_digest"] == "d1gest"
    assert found["notes"] == []
    markdown = (tmp_path / "x/report.md").read_text()
    assert "`dead` of run: dead_end" in markdown
    assert "| chains | chains | 9 | 1 | 9 |" in markdown
    assert "cc-by-4.0" in (tmp_path / "x/dataset/README.md").read_text()


def test_leaks_are_left_out_and_told(tmp_path: Path) -> None:
    told = row("told", last_step="So emphysema.", gold="Emphysema")
    sibling = row("sibling", ({"ann": "rrww", "bob": "rwww"}, {"ann": "rrrr", "bob": "wwww"}), question="What else?")
    sibling["nodes"][1] |= {"leaks": ["answer"]}
    run = make_run(tmp_path / "run", [told, sibling])
    write_export(job(run, tmp_path / "x", "select.leaks=drop"))
    found = report(tmp_path / "x")
    assert found["dropped_ids"] == {"leaks": [{"id": "told", "run": "run", "detail": "answer in step 3"}]}
    assert found["notes"] == ["1 candidates leak; they and what goes on from them are in no pair and no reward"]
    assert len(lines(tmp_path / "x/rewards.jsonl")) == 3
    write_export(job(run, tmp_path / "y", "select.leaks=keep"))
    assert report(tmp_path / "y")["dropped"] == {}
    assert report(tmp_path / "y")["notes"] == []
    assert len(lines(tmp_path / "y/rewards.jsonl")) == 8


def test_candidates_whose_votes_were_left_out_are_in_no_pair_and_no_reward_and_are_told(tmp_path: Path) -> None:
    part = row("part", ({"ann": "rrww", "bob": "w..."}, {"ann": "rrrr", "bob": "ww.."}))
    write_export(job(make_run(tmp_path / "run", [part]), tmp_path / "x"))
    assert [one["id"] for one in lines(tmp_path / "x/rewards.jsonl")] == ["part#0", "part#2"]
    assert len(lines(tmp_path / "x/rewards_stepwise.jsonl")) == 2
    assert lines(tmp_path / "x/pairs/steps.jsonl") == []
    assert [one["id"] for one in lines(tmp_path / "x/pairs/chains.jsonl")] == ["part#0"]
    [note] = report(tmp_path / "x")["notes"]
    assert note.startswith("2 candidates have no score")


def test_no_medical_text_is_in_the_report(tmp_path: Path, run: Path) -> None:
    write_export(job(run, tmp_path / "x"))
    for name in ("report.json", "report.md"):
        assert not {"Gold", "shown", "sees"} & set((tmp_path / "x" / name).read_text().split())


def test_every_form_is_there_and_readable_by_the_owner_only(tmp_path: Path, run: Path) -> None:
    found = write_export(job(run, tmp_path / "x"))
    for name, count in found["files"].items():
        assert len(lines(tmp_path / "x" / name)) == count > 0
    names = {path.name for path in (tmp_path / "x").iterdir()}
    assert names >= {"chat.jsonl", "rewards.jsonl", "pairs", "dataset", "dataset_info.json", "config.yaml"}
    for path in (tmp_path / "x").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_the_sides_share_no_patient_and_other_forms_hold_the_training_side(tmp_path: Path, run: Path) -> None:
    write_export(job(run, tmp_path / "x", "export.validation_share=0.3", "export.patient_pattern='^(\\w+)-?'"))
    train, validation = (
        {record["id"] for record in lines(tmp_path / "x" / f"{side}.jsonl")} for side in ("train", "validation")
    )
    assert len(train) + len(validation) == 9
    assert validation
    assert not {name.split("-")[0] for name in train} & {name.split("-")[0] for name in validation}
    assert {record["id"] for record in lines(tmp_path / "x/chat.jsonl")} == train
    for name in ("rewards.jsonl", "rewards_stepwise.jsonl", "pairs/steps.jsonl", "pairs/chains.jsonl"):
        assert {record["id"].split("#")[0] for record in lines(tmp_path / "x" / name)} <= train
    meta = json.loads((tmp_path / "x/meta/validation.json").read_text())["chains"]
    assert (meta["annotation"], meta["length"]) == (str(tmp_path / "x/validation.jsonl"), len(validation))


def test_control_tokens_of_mentors_and_questions_reach_no_record(tmp_path: Path) -> None:
    odd = case(1, question="Is <image> so!", last_step="Yes </img> <|im_end|>!", gold="<IMG_CONTEXT>")
    write_export(job(make_run(tmp_path / "run", [odd]), tmp_path / "x"))
    (record,) = lines(tmp_path / "x/train.jsonl")
    human, gpt = (turn["value"] for turn in record["conversations"])
    assert human.count("<image>") == 1
    assert "Is (image) so." in human
    assert gpt.endswith("Yes (/img) (im_end).\n\n### The final answer is: (img_context)")


def test_what_is_too_long_is_left_out_with_both_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [case(0), case(1, last_step="word " * 2000)])
    write_export(job(run, tmp_path / "x"))
    (one,) = report(tmp_path / "x")["dropped_ids"]["length"]
    assert one["id"] == "p0-1"
    tokens, most = (int(word) for word in one["detail"].split() if word.isdigit())
    assert most == 8192 < 10_000 < tokens
    assert len([path for path in (tmp_path / "x/images").rglob("*") if path.is_file()]) == 1


def test_a_pair_with_a_side_that_is_too_long_is_left_out_and_told(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lengthened(*given: Any) -> Any:
        for pair in step_pairs(*given):
            if pair["id"].startswith("p0-0#"):
                pair["rejected"][0]["content"][0]["text"] += " so" * 3000
            yield pair

    made = write_export(job(run, tmp_path / "whole"))
    monkeypatch.setattr("train.export.writer.step_pairs", lengthened)
    cut = write_export(job(run, tmp_path / "cut"))
    whole, kept = (lines(tmp_path / name / "pairs/steps.jsonl") for name in ("whole", "cut"))
    assert whole
    assert [pair["id"].split("#")[0] for pair in whole[:2]] == ["p0-0", "p0-1"]
    assert kept == whole[1:]
    assert lines(tmp_path / "cut/pairs/steps_mpo.jsonl") == [to_mpo_record(pair) for pair in kept]
    assert (made["long_pairs"]["steps"], cut["long_pairs"]["steps"]) == ([], [whole[0]["id"]])
    assert any("pairs of steps" in note for note in cut["notes"])


def test_large_pictures_count_by_their_tiles(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [case(0), case(1)])
    noise(9, 900, 900).save(run / "pictures/1.png")
    write_export(job(run, tmp_path / "x", "length.max_seq_length=1500"))
    assert [one["id"] for one in report(tmp_path / "x")["dropped_ids"]["length"]] == ["p0-1"]


def test_pictures_stay_where_they_lie_when_referenced(tmp_path: Path, run: Path) -> None:
    Image.new("RGBA", (20, 20), (9, 9, 9, 0)).save(run / "pictures/3.png")
    found = write_export(job(run, tmp_path / "x", "export.images=reference"))
    assert found["pictures"] == {"copied": 0, "referenced": 7, "re-encoded": 1}
    paths = {record["id"]: record["image"] for record in lines(tmp_path / "x/train.jsonl") if "image" in record}
    assert paths["p0-0"] == [str(run / "pictures/0.png")]
    assert paths["p1-3"][0].startswith("images/")


def test_cases_with_a_picture_in_common_are_one_patient(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [case(number) for number in range(10)])
    for number in range(10):
        noise(number // 5).save(run / f"pictures/{number}.png", compress_level=number)
    found = write_export(job(run, tmp_path / "x", "export.validation_share=0.5"))
    assert found["patients"] == {"train": 1, "validation": 1}
    assert found["split"] == {"train": 5, "validation": 5}


def test_two_runs_give_each_chain_an_id_of_its_own(tmp_path: Path) -> None:
    weak = case(0, rounds=({"ann": "rwww"}, {"ann": "rrww"}), outcome="depth")
    runs = [make_run(tmp_path / "a", [case(0), case(1)]), make_run(tmp_path / "b", [weak])]
    write_export(job(runs, tmp_path / "x", "select.deduplicate=false"))
    assert [record["id"] for record in lines(tmp_path / "x/train.jsonl")] == ["p0-0@a", "p0-1", "p0-0@b"]
    write_export(job(runs, tmp_path / "x"))
    assert [record["id"] for record in lines(tmp_path / "x/train.jsonl")] == ["p0-0", "p0-1"]
    assert report(tmp_path / "x")["dropped_ids"]["duplicate"] == [{"id": "p0-0", "run": "b", "detail": "of p0-0 in a"}]


def test_an_unfinished_run_and_another_template_are_noted(tmp_path: Path, run: Path) -> None:
    (run / "summary.json").unlink()
    found = write_export(job(run, tmp_path / "x", "prompts.intern='Say: {question}'"))
    assert [note.split(";")[0] for note in found["notes"]] == [
        "run run is not finished",
        "run run asked its interns by another template than this export (prompts=…)",
    ]


def test_an_export_replaces_an_export(tmp_path: Path, run: Path) -> None:
    write_export(job(run, tmp_path / "x", "export.validation_share=0.3"))
    write_export(job(run, tmp_path / "x"))
    assert not (tmp_path / "x/validation.jsonl").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x"]


def test_the_same_job_writes_the_same_files(tmp_path: Path, run: Path) -> None:
    for name in ("x", "y"):
        write_export(job(run, tmp_path / name, "export.validation_share=0.3"))
    for name in ("train.jsonl", "validation.jsonl", "chat.jsonl", "pairs/steps.jsonl"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()


def test_rows_that_change_between_both_readings_are_refused(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(*given: Any) -> Any:
        (shard,) = (run / "results").glob("*.parquet")
        shard.touch()
        return list_files(*given)

    monkeypatch.setattr("train.export.export.list_files", change)
    with pytest.raises(RefusedRun, match=r"part-000000\.parquet was changed while it was exported; export again"):
        write_export(job(run, tmp_path / "x"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_rows_that_are_added_meanwhile_are_left_to_the_next_export(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(*given: Any) -> Any:
        ShardStore(run / "results").commit([case(99, images=())])
        return list_files(*given)

    monkeypatch.setattr("train.export.export.list_files", add)
    assert write_export(job(run, tmp_path / "x"))["runs"][0]["rows"] == 10
    assert write_export(job(run, tmp_path / "x"))["runs"][0]["rows"] == 11


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints"])
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path, run: Path, name: str) -> None:
    for target in (tmp_path / "other", tmp_path / "x"):
        if target.name == "x":
            write_export(job(run, target))
        (target / name).mkdir(parents=True)
        with pytest.raises(RefusedRun, match=r"export\.dir"):
            write_export(job(run, target))
        assert (target / name).exists()


def test_a_refused_export_leaves_the_older_one_and_nothing_else(tmp_path: Path, run: Path) -> None:
    write_export(job(run, tmp_path / "x"))
    before = (tmp_path / "x/train.jsonl").read_bytes()
    (run / "pictures/5.png").unlink()
    with pytest.raises(RefusedRun, match=r"record p2-5: picture '5\.png': no such file"):
        write_export(job(run, tmp_path / "x"))
    assert (tmp_path / "x/train.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x"]


def test_an_empty_export_is_refused_with_the_counts(tmp_path: Path, run: Path) -> None:
    with pytest.raises(RefusedRun, match=r"all 10 rows are left out \(rounds 9, outcome 1\)"):
        write_export(job(run, tmp_path / "x", "select.min_rounds=3"))
    assert not (tmp_path / "x").exists()


def test_two_exports_into_one_folder_at_a_time_are_refused(tmp_path: Path, run: Path) -> None:
    (tmp_path / ".x.new").mkdir()
    with RunLock(tmp_path / ".x.new/.lock"), pytest.raises(LockedRun, match="another export is being written"):
        write_export(job(run, tmp_path / "x"))


def test_what_a_killed_export_left_is_cleared(tmp_path: Path, run: Path) -> None:
    (tmp_path / ".x.new/images").mkdir(parents=True)
    (tmp_path / ".x.new/images/old.png").write_text("old")
    write_export(job(run, tmp_path / "x"))
    assert not (tmp_path / "x/images/old.png").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("select.outcomes=[solve]", "select.outcomes: there is no 'solve'; did you mean 'solved'?"),
        ("select.quality=[good]", "select.quality: there is no 'good'"),
        ("select.min_score=2", "select.min_score: 2 is not in 0 to 1"),
        ("select.step_right=-0.1", "select.step_right: -0.1 is not in 0 to 1"),
        ("select.pair_margin=7", "select.pair_margin: 7 is not in 0 to 6"),
        ("export.validation_share=1", "export.validation_share: 1 is not a share"),
        ("export.patient_pattern=abc", "export.patient_pattern: has no group"),
        ("export.patient_pattern='(a'", "export.patient_pattern: no regular expression"),
        ("length.max_tiles=0", "length.max_tiles: 0 is below 1"),
        ("image_root=/gone", "its picture folder /gone is not there; give image_root="),
        ("prompts.intern=x", "prompts.intern: the template does not hold {question}"),
        ("run.dir=[]", "run.dir: no folder given"),
        ("run.dir=/gone", "run.dir: no results in /gone"),
    ],
)
def test_a_wrong_value_is_refused_by_name(tmp_path: Path, run: Path, override: str, words: str) -> None:
    with pytest.raises(RefusedRun) as refused:
        write_export(job(run, tmp_path / "x", override))
    assert words in str(refused.value)


def test_the_same_run_twice_and_a_damaged_shard_are_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(RefusedRun, match="the same folder is given twice"):
        write_export(job([run, run], tmp_path / "x"))
    next((run / "results").glob("part-*")).write_bytes(b"PAR1")
    with pytest.raises(RefusedRun, match=r"part-000000\.parquet: damaged"):
        write_export(job(run, tmp_path / "x"))


def test_the_program_shows_where_the_files_lie_and_exits_truthfully(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"run.dir={run}", f"export.dir={tmp_path / 'x'}"]
    assert run_export(given) == 0
    shown = capsys.readouterr()
    assert "outcome 1" in shown.out
    assert f"report  {tmp_path / 'x'}/report.md\n" in shown.out
    assert shown.err == ""
    assert run_export([*given, "select.min_rounds=3"]) == 78
    refused = capsys.readouterr()
    assert (refused.out, refused.err.count("\n")) == ("", 1)
    assert refused.err.startswith("refused: the export would be empty")
    with pytest.raises(SystemExit) as usage:
        run_export(["--nonsense"])
    assert usage.value.code == 64


def test_an_export_that_cannot_be_written_says_where_and_exits_with_74(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run_export([f"run.dir={run}", f"export.dir={tmp_path / 'file' / 'x'}"]) == 74
    assert capsys.readouterr().err.startswith(f"cannot write {tmp_path / 'file'}")


def test_the_script_runs_from_anywhere_although_its_folder_holds_a_train_py(tmp_path: Path) -> None:
    """Python puts the script's folder first on the path, where `train.py` would stand for the package `train`."""
    program = [sys.executable, str(ROOT / "scripts/export.py"), "--help"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: export.py")
