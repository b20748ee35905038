"""Where the parts of a configuration are."""

from dataclasses import replace
from pathlib import Path

from mics_ray.assemble.locations import (
    group_by_provider,
    list_endpoints,
    locate_cases,
    locate_images,
    resolve_embedded,
)
from mics_ray.config.schema import Engine, InternDefaults, ModelConfig
from tests.support.demo_config import compose_demo

PUBLIC = "https://example.org/v1"


def test_embedded_paths_lie_in_the_package() -> None:
    config = compose_demo()
    cases = locate_cases(config)
    assert isinstance(cases, str)
    assert Path(cases).is_file()
    assert locate_images(config) == Path(cases).parent
    assert resolve_embedded("Qwen/Qwen2-VL-7B-Instruct") == "Qwen/Qwen2-VL-7B-Instruct"
    assert locate_images(compose_demo("data.image_root=/x")) == Path("/x")


def test_providers_are_grouped_by_address_and_key() -> None:
    config = replace(
        compose_demo(),
        mentors={
            "one": ModelConfig("m", base_url=PUBLIC, api_key_env="KEY_A"),
            "two": ModelConfig("n", base_url=PUBLIC, api_key_env="KEY_A"),
            "three": ModelConfig("o", base_url=PUBLIC, api_key_env="KEY_B"),
        },
        interns={
            "here": InternDefaults(model="p"),
            "there": InternDefaults("q", Engine.endpoint, base_url=PUBLIC, api_key_env="KEY_A", max_in_flight=9),
        },
    )
    assert set(list_endpoints(config)) == {"one", "two", "three", "there", "judge"}
    groups = [set(group) for group in group_by_provider(config).values()]
    assert sorted(groups, key=sorted) == [{"judge"}, {"one", "there", "two"}, {"three"}]
    assert list_endpoints(config)["there"].max_in_flight == 9
