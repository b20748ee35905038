"""One process' connections to the models of a job; the actors themselves are in the cluster tests."""

from mics_ray.assemble.locations import group_by_provider
from mics_ray.config.schema import Config, InternDefaults, ModelConfig
from mics_ray.runtime.driver.model_clients import ActorHandles, ModelClients
from mics_ray.runtime.driver.remote_endpoint import RemoteEndpoint
from mics_ray.runtime.serving.router import RoutedModel

HERE, THERE = "http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"
CONFIG = Config(
    mentors={"a": ModelConfig(model="m", base_url=HERE), "b": ModelConfig(model="n", base_url=THERE)},
    interns={"served": InternDefaults(model="i")},
    judge=ModelConfig(model="j", base_url=HERE),
)


def connected() -> ModelClients:
    clients = ModelClients(CONFIG)
    endpoints = {provider: object() for provider in group_by_provider(CONFIG)}
    clients.connect(ActorHandles(endpoints, {"served": [object(), object()]}))
    return clients


def test_a_case_has_every_model_by_its_name_and_a_provider_is_connected_to_once() -> None:
    models = connected().bind_case("case")
    assert set(models) == {"a", "b", "judge", "served"}
    assert isinstance(models["a"], RemoteEndpoint)
    assert models["a"] is models["judge"] is not models["b"]
    assert isinstance(models["served"], RoutedModel)
    assert models["served"].case_id == "case"


def test_a_second_span_keeps_the_connections_that_know_the_calls_in_flight() -> None:
    clients = connected()
    before = clients.bind_case("case")
    clients.connect(ActorHandles({}, {}))
    assert clients.bind_case("case") == before
    assert clients.count_queued() == {"served": 0}


async def test_a_list_of_replicas_that_comes_before_the_first_span_changes_nothing() -> None:
    clients = ModelClients(CONFIG)
    await clients.update_replicas({"served": [object()]})
    assert clients.bind_case("case") == {}
