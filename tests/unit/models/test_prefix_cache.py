"""The stand-in for a provider's prefix cache, and what the order of the shipped templates is worth on it."""

import asyncio
from itertools import islice
from pathlib import Path

from benchmarks.prefix_cache import count_shares, tell_next_step_first
from mics_ray.assemble.locations import locate_cases
from mics_ray.config.compose import compose_config
from mics_ray.models.types import Pictures, Request
from tests.support.prefix_cache import PICTURE_TOKENS, PrefixCache, tokenise_prompt

HEAD = [str(number) for number in range(1500)]


def test_whole_blocks_from_the_beginning_are_cached() -> None:
    cache = PrefixCache()
    assert cache.count_cached(HEAD) == 0
    assert cache.count_cached([*HEAD, "more"]) == 1408  # eleven blocks of 128
    assert cache.count_cached(["other", *HEAD]) == 0
    assert cache.count_cached([*HEAD[:1100], *["x"] * 400]) == 1024


def test_too_short_a_beginning_is_not_cached() -> None:
    cache, short = PrefixCache(), PrefixCache(block=16, least=16)
    for one in (cache, short):
        one.count_cached(HEAD)
    assert cache.count_cached([*HEAD[:1000], *["x"] * 400]) == 0
    assert short.count_cached([*HEAD[:1000], *["x"] * 400]) == 992


def test_pictures_stand_between_the_system_message_and_the_text() -> None:
    request = Request("e", "m", "", "system", "some text", "digest", 0.0, 9, 0)
    tokens = tokenise_prompt(request, Pictures("digest", (b"1", b"2")))
    assert (tokens[:2], tokens[-3:]) == (["syst", "em"], ["some", " tex", "t"])
    assert len(tokens) == 2 + 2 * PICTURE_TOKENS + 3


def test_the_shipped_order_serves_mentors_of_cases_with_long_notes(tmp_path: Path) -> None:
    embedded = Path(str(locate_cases(compose_config(["experiment=demo"]))))
    with embedded.open() as lines:
        (tmp_path / "few.jsonl").write_text("".join(islice(lines, 8)))
    given = [f"data.cases={tmp_path}/few.jsonl", f"data.image_root={embedded.parent}"]
    shipped = compose_config(["experiment=demo", *given])
    orders = (shipped, tell_next_step_first(shipped))
    after, before = (asyncio.run(count_shares(config, lengthy=True))["OpenAI"]["mentor"] for config in orders)
    assert after > 0.3
    assert before < after / 4  # the number of the next step changes in every round
