"""What is settled before Ray starts: models, items, the folder and what is done."""

import json
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import mics_ray.local
from eval.config import EvaluateJob
from eval.prepare import Work, prepare_evaluation
from eval.rows import ANSWERS, answer_row
from eval.types import Answered
from mics_ray.core.types import Usage, Verdict
from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.io.shards.store import ShardStore
from tests.support.evaluation_jobs import job

INTERN = Path(mics_ray.local.__file__).parent / "interns/internvl"


@contextmanager
def works(config: EvaluateJob) -> Iterator[Work]:
    with prepare_evaluation(config) as work:
        yield work


def commit_one(work: Work) -> str:
    question = work.pending[0]
    answered = Answered(question.item, question.benchmark, "o", "p", Verdict.RIGHT)
    ShardStore(work.folder.results, ANSWERS).commit([answer_row(answered, "q", Usage(), 1.0, work.stamp)])
    return question.id


def refused(config: EvaluateJob) -> str:
    with pytest.raises(RefusedRun) as error, prepare_evaluation(config):
        pass
    return str(error.value)


def test_every_item_is_pending_and_the_judge_does_not_sample(tmp_path: Path) -> None:
    with works(job(tmp_path, "judge.temperature=0.9")) as work:
        assert [question.id for question in work.pending] == [f"phantom/phantom-{n:03}" for n in range(1, 9)]
        assert work.total == 8
        assert work.config.judge.temperature == 0.0
        assert list(work.config.interns) == ["model"]
        assert Path(work.config.interns["model"].model) == INTERN


def test_what_is_committed_is_not_asked_again(tmp_path: Path) -> None:
    with works(job(tmp_path)) as work:
        done = commit_one(work)
    with works(job(tmp_path)) as again:
        assert len(again.pending) == 7
        assert done not in [question.id for question in again.pending]
        assert again.stamp.config_digest == work.stamp.config_digest


def test_a_folder_of_rows_with_one_verdict_is_refused_as_such(tmp_path: Path) -> None:
    with works(job(tmp_path)) as work:
        commit_one(work)
    (shard,) = work.folder.results.glob("*.parquet")
    table = pq.read_table(shard)
    old = table.drop_columns(["kept_form", "unread", "lenient", "strict"]).append_column("verdict", table["lenient"])
    pq.write_table(old, shard)
    told = refused(job(tmp_path))
    assert "rows of version 1 have one verdict, neither lenient nor strict" in told
    assert "evaluate again into another eval.dir" in told


def test_where_the_identity_is_lost_the_rows_tell_whose_they_are(tmp_path: Path) -> None:
    with works(job(tmp_path)) as work:
        commit_one(work)
    (tmp_path / "out/identity.json").write_text("")
    assert "identity.json is lost" in refused(job(tmp_path, "seed=1"))
    with works(job(tmp_path)) as again:
        assert len(again.pending) == 7


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=1", "seed: 0 -> 1"),
        ("eval.temperature=0.5", "eval.temperature: 0.0 -> 0.5"),
        ("+serve.processor_kwargs.max_patches=6", "interns.model.processor_kwargs.max_patches: (not there) -> 6"),
        ("judge.model=another", "judge.model: simulated-judge-terms -> another"),
    ],
)
def test_a_folder_of_another_configuration_is_refused_with_the_difference(
    tmp_path: Path, override: str, words: str
) -> None:
    with works(job(tmp_path)) as work:
        commit_one(work)
    message = refused(job(tmp_path, override))
    assert words in message
    assert "eval.dir" in message


def test_a_model_trained_anew_in_the_same_place_is_another_configuration(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(INTERN, tmp_path / "model"))
    with works(job(tmp_path, f"model={folder}")) as work:
        commit_one(work)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(weights))
    assert "checkpoint.files" in refused(job(tmp_path, f"model={folder}"))


def test_changed_items_are_another_configuration(tmp_path: Path) -> None:
    with works(job(tmp_path)) as work:
        commit_one(work)
    cases = tmp_path / "sets/phantom/cases.jsonl"
    cases.write_text("".join(cases.read_text().splitlines(keepends=True)[:-1]))
    assert "items.phantom" in refused(job(tmp_path))


def test_where_and_how_fast_may_change(tmp_path: Path) -> None:
    with works(job(tmp_path)) as work:
        commit_one(work)
    (tmp_path / "sets").rename(tmp_path / "moved")
    changed = job(tmp_path, f"eval.root={tmp_path}/moved", "window=3", "serve.replicas=2", "judge.max_in_flight=1")
    with works(changed) as again:
        assert (again.total, len(again.pending)) == (8, 7)
        assert again.stamp.config_digest == work.stamp.config_digest
        assert {question.root for question in again.pending} == {tmp_path / "moved/phantom"}


def test_a_limit_is_a_seeded_sample_in_the_items_order(tmp_path: Path) -> None:
    def sample(*more: str) -> list[str]:
        with works(job(tmp_path, "eval.limit=4", *more, count=20)) as work:
            return [question.item.id for question in work.pending]

    first = sample()
    assert len(first) == 4
    assert first == sorted(first)
    assert first == sample()
    assert len({tuple(sample(f"seed={seed}")) for seed in range(2)}) > 1
    with works(job(tmp_path, "eval.limit=99")) as work:
        assert work.total == 20


def test_the_configuration_is_kept_with_what_the_checkpoint_says_of_tiles(tmp_path: Path) -> None:
    with works(job(tmp_path)) as work:
        kept = yaml.safe_load((work.folder.root / "config.yaml").read_text())
        assert kept["serve"]["max_tokens"] == 192
        assert kept["checkpoint"]["tiling"]["max_patches"] == 1
        assert (work.folder.root / "config.yaml").stat().st_mode & 0o777 == 0o600
        assert "canary" not in json.dumps(kept)


def test_one_evaluation_holds_the_folder(tmp_path: Path) -> None:
    with works(job(tmp_path)), pytest.raises(LockedRun, match=r"another eval\.dir"), prepare_evaluation(job(tmp_path)):
        pass


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["eval.limit=0"], "eval.limit: 0 is below 1"),
        (["window=0"], "window: 0 is below 1"),
        (["eval.temperature=-1"], "eval.temperature: -1.0 is below 0"),
        (["eval.mics_score=true"], "eval.mics_score: give the interns"),
        (["serve.replicas=0"], "serve.replicas: 0 is below 1"),
        (["judge.base_url=ftp://x"], "judge.base_url"),
        (["judge.api_key_env=NO_SUCH_VARIABLE_7"], "NO_SUCH_VARIABLE_7 is not set"),
        (["prompts.intern='{answer}'"], "prompts.intern: unknown field 'answer'"),
        (["prompts.judge='{answer} {candidate}'"], "prompts.judge: does not show the judge {question}"),
        (["model=/no/such/model"], "/no/such/model: no such folder"),
        (["serve.adapter=/no/such/adapter"], "serve: adapter: /no/such/adapter: no LoRA adapter"),
        (["eval.root=/no/such/root"], "phantom: no folder /no/such/root/phantom"),
    ],
)
def test_what_cannot_work_is_refused_in_words(tmp_path: Path, overrides: list[str], words: str) -> None:
    assert words in refused(job(tmp_path, *overrides))


def test_a_picture_that_is_gone_is_refused_by_its_item(tmp_path: Path) -> None:
    config = job(tmp_path)
    (tmp_path / "sets/phantom/images/phantom-003.png").unlink()
    message = refused(config)
    assert "phantom-003" in message
    assert "images/phantom-003.png" in message


def test_an_adapter_retrained_in_the_same_place_is_another_configuration(tmp_path: Path) -> None:
    def write(rank: int) -> None:
        folder = tmp_path / "adapter"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
        tensor = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        header = json.dumps({"language_model.layers.0.mlp.up_proj.lora_A.weight": tensor}).encode()
        (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)

    write(8)
    with works(job(tmp_path, f"serve.adapter={tmp_path}/adapter")) as work:
        commit_one(work)
    write(16)
    assert "checkpoint.adapter" in refused(job(tmp_path, f"serve.adapter={tmp_path}/adapter"))


def test_cases_are_told_with_the_context_of_the_search_and_others_with_what_is_chosen(tmp_path: Path) -> None:
    with works(job(tmp_path / "a")) as work:
        assert work.pending[0].item.context.splitlines()[-1].startswith("Gender: ")
    with works(job(tmp_path / "b", "eval.context=none")) as work:
        assert {question.item.context for question in work.pending} == {""}
    assert "eval.context: unknown note 'sex'" in refused(job(tmp_path / "c", "eval.context=[sex]"))
