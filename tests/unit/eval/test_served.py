"""How a model was served: what counts as another way, of a judge behind an API and of one that vLLM serves."""

from typing import Any

import yaml

from eval.config import EvaluateJob
from eval.served import served_differently
from mics_ray.config.compose import compose_job, dump_yaml

JOB = ("eval=phantom", "serve=tiny", "model=m", "eval.dir=d")


def config(*judge: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(dump_yaml(compose_job("evaluate", EvaluateJob, [*JOB, *judge])))
    return found


def test_a_judge_behind_an_api_is_its_model_and_what_it_is_asked() -> None:
    plain = config("judge=local")
    assert served_differently(plain, config("judge=local", "judge.deadline_s=9", "judge.max_in_flight=1")) == []
    assert served_differently(plain, config("judge=local", "judge.max_tokens=17")) == ["judge.max_tokens: 16 -> 17"]


def test_a_judge_that_vllm_serves_is_its_weights_and_how_they_are_run() -> None:
    plain = config("judge=tiny")
    assert served_differently(plain, config("judge=tiny", "judge.replicas=3", "judge.gpus=0.5")) == []
    changed = served_differently(plain, config("judge=tiny", "judge.revision=abc", "judge.max_model_len=4096"))
    assert changed == ["judge.max_model_len: 8192 -> 4096", "judge.revision: (not there) -> abc"]
    assert "judge.engine: (not there) -> vllm" in served_differently(config("judge=local"), plain)


def test_how_tokens_are_drawn_is_another_way() -> None:
    plain, drawn = config("judge=local"), config("judge=local", "serve.sampling={top_k: 3}", "judge.sampling=model")
    assert served_differently(plain, drawn) == [
        "judge.sampling: (not there) -> model",
        "serve.sampling.top_k: (not there) -> 3",
    ]
