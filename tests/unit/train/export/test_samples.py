import asyncio

import pytest

from mics_ray.assemble.panel import build_strategy
from mics_ray.config.compose import compose_config
from mics_ray.core.search import search_case
from mics_ray.io.rows import Stamp, result_row
from mics_ray.testing import CASE, MENTORS
from tests.support.fake_panel import chancy
from tests.support.searched_samples import prompts, sample
from train.export.forms.pairs import step_pairs
from train.export.samples import scored_nodes, steps_down_to


@pytest.mark.parametrize("preset", ["paper", "reference", "best_of_n"])
def test_rows_of_real_searches_are_read_as_the_search_meant_them(preset: str) -> None:
    search = compose_config(["experiment=demo", f"search={preset}"]).search
    compared = 0
    for seed in range(40):
        policy = build_strategy(search, MENTORS)
        result = asyncio.run(search_case(CASE, policy, chancy(seed, 0.1).panel(), seed, search.restarts))
        row = result_row(result, {}, 0.0, Stamp(seed, "digest", "version"))
        read = sample(nodes=tuple(row["nodes"]), steps=tuple(row["steps"]))
        shift = 0
        for tree in result.attempts:
            for one in tree.nodes:
                parent = None if one.parent is None else one.parent + shift
                assert steps_down_to(read, parent) == tree.prefix_to(one.parent)
            shift += len(tree.nodes)
        assert len(scored_nodes(read)) == sum(one.score is not None for tree in result.attempts for one in tree.nodes)
        compared += len(list(step_pairs([read], prompts())))
    assert compared > 10
