from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from mics_ray.config.schema import Price
from mics_ray.models.replies.pricing import bill_reply, bound_cost, estimate_tokens
from mics_ray.models.types import Pictures, Reply, Request

PRICE = Price(input_per_mtok=2.0, output_per_mtok=10.0)
ASKED = Request("m", "m", "", "system", "a question", "", 0.3, 64, 0)


def test_the_bill_goes_by_the_usage_told() -> None:
    assert bill_reply(PRICE, Reply("", "stop", 100, 20)) == pytest.approx(4e-4)


@pytest.mark.parametrize(
    ("cached_price", "cached", "usd"),
    [
        (0.5, 60, (2 * 40 + 0.5 * 60 + 10 * 20) / 1e6),
        (0.0, 60, (2 * 40 + 10 * 20) / 1e6),  # 0 is a price
        (None, 60, (2 * 100 + 10 * 20) / 1e6),
        (0.5, 100, (0.5 * 100 + 10 * 20) / 1e6),
        (0.5, 10_000, (0.5 * 100 + 10 * 20) / 1e6),  # more than the prompt has: all of it
        (0.5, -60, (2 * 100 + 10 * 20) / 1e6),
    ],
)
def test_input_that_the_provider_had_cached_has_its_own_price(
    cached_price: float | None, cached: int, usd: float
) -> None:
    price = replace(PRICE, cached_input_per_mtok=cached_price)
    assert bill_reply(price, Reply("", "stop", 100, 20, cached_tokens=cached)) == pytest.approx(usd)


def test_thoughts_are_billed_once_as_part_of_the_completion() -> None:
    assert bill_reply(PRICE, Reply("", "stop", 100, 20, reasoning_tokens=15)) == pytest.approx(4e-4)


def test_a_bound_stays_one_whatever_the_provider_has_cached() -> None:
    plain = bound_cost(PRICE, ASKED, None)
    assert bound_cost(replace(PRICE, cached_input_per_mtok=0.0), ASKED, None) == plain
    assert bound_cost(replace(PRICE, cached_input_per_mtok=2.5), ASKED, None) > plain
    only = Price(cached_input_per_mtok=3.0)
    assert bound_cost(only, ASKED, None) == pytest.approx(3 * (64 + 16) / 1e6)


def test_every_byte_of_text_may_be_a_token_and_the_reply_as_long_as_allowed() -> None:
    assert bound_cost(PRICE, ASKED, None) == pytest.approx((2 * (64 + 16) + 10 * 64) / 1e6)
    chinese = replace(ASKED, text="肺炎\ud800")
    assert bound_cost(PRICE, chinese, None) == pytest.approx((2 * (64 + 6 + 9) + 10 * 64) / 1e6)


def test_pictures_count_by_their_size() -> None:
    file = BytesIO()
    Image.new("RGB", (60, 40)).save(file, "PNG")
    without = bound_cost(PRICE, ASKED, None)
    pictures = Pictures("d", (file.getvalue(), file.getvalue()))
    assert bound_cost(PRICE, ASKED, pictures) - without == pytest.approx(2 * 2 * (800 + 4) / 1e6)


def test_a_model_without_a_price_costs_nothing() -> None:
    assert bound_cost(Price(), ASKED, Pictures("d", (b"not read",))) == 0


@pytest.mark.parametrize(
    ("price", "most"),
    [(Price(input_per_mtok=3.0), 3 * (64 + 16) / 1e6), (Price(output_per_mtok=5.0), 5 * 64 / 1e6)],
)
def test_a_price_for_one_direction_alone_is_a_price(price: Price, most: float) -> None:
    assert bound_cost(price, ASKED, None) == pytest.approx(most)


def test_the_estimate_counts_text_pictures_and_the_longest_reply() -> None:
    asked = replace(ASKED, system="s" * 40, text="t" * 400, max_tokens=1000)
    assert estimate_tokens(asked, Pictures("d", (b"", b""))) == 110 + 2 * 765 + 1000
