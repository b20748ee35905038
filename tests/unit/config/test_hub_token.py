"""Who has the hub's token while a job works."""

import os
from pathlib import Path

import pytest

from mics_ray.assemble.locations import needs_hub_token
from mics_ray.config.keys import HUB_TOKENS, hold_hub_token, read_hub_token
from mics_ray.config.schema import Config, DataConfig, ModelConfig

TOKEN = "hf_" + "canary"


def job(cases: object = "cases.jsonl", root: str | None = None, key: str | None = None) -> Config:
    judge = ModelConfig(model="j", base_url="https://router.example/v1", api_key_env=key)
    return Config(mentors={}, interns={}, judge=judge, data=DataConfig(cases=cases, image_root=root))


@pytest.mark.parametrize("name", HUB_TOKENS)
def test_a_held_token_is_out_of_the_environment_and_comes_back(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in HUB_TOKENS:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, TOKEN)
    with hold_hub_token():
        assert not {*HUB_TOKENS} & set(os.environ)
        assert read_hub_token() == TOKEN
    assert os.environ[name] == TOKEN
    monkeypatch.delenv(name)
    assert read_hub_token() is None


def test_a_mounted_token_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "HF_TOKEN").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("MICS_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "")
    with hold_hub_token():
        assert read_hub_token() == TOKEN


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        (job(), False), (job("s3://bucket/cases.jsonl"), False), (job("hf://datasets/a/b/*.jsonl"), True),
        (job(["cases.jsonl", "hf://datasets/a/b/c.jsonl"]), True), (job(root="hf://datasets/a/b"), True),
        (job(key="HF_TOKEN"), True), (job(key="OPENAI_API_KEY"), False),
    ],
)  # fmt: skip
def test_a_job_that_reads_from_the_hub_or_pays_with_the_token_keeps_it(config: Config, needs: bool) -> None:
    assert needs_hub_token(config) is needs
