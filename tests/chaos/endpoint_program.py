"""A program that asks a provider many questions through an endpoint and prints how many it answered: ADDRESS COUNT."""

import asyncio
import sys

from mics_ray.config.schema import ModelConfig
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.types import LostCall, Reply, Request

DEADLINE_S, PER_MINUTE = 10.0, 600


async def main(address: str, count: int) -> None:
    """Ask everything at once, within the quota."""
    config = ModelConfig(
        model="mentor-0", base_url=address, deadline_s=DEADLINE_S, max_in_flight=16, requests_per_minute=PER_MINUTE
    )
    endpoint = Endpoint({"m": config}, None, None)
    requests = [Request("m", "mentor-0", "", "", f"## Question {n}", "", 0.3, 64, n) for n in range(count)]
    ends = await asyncio.gather(*(endpoint.complete(one, None) for one in requests), return_exceptions=True)
    await endpoint.close()
    assert all(isinstance(end, Reply | LostCall) for end in ends), ends
    print(sum(isinstance(end, Reply) for end in ends))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
