"""A plain asyncio loop over aiohttp or the openai SDK: no Ray, limits, cache, retries or rows.

``python plain_loop.py URL calls FILE`` asks each text of a JSON list once; ``… URL search COUNT`` searches so many
cases: three mentors a round, three interns at two temperatures on each proposal, a judge on each answer, four rounds at
most.
``--in-flight 1`` is how the reference program works: one call after the other. Prints its seconds as JSON.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

Ask = Callable[[dict[str, Any]], Awaitable[str]]
INSTRUCTIONS = "Read the case, reason step by step, and say what is asked for. " * 16
"""About as long as the templates of a run."""
MENTORS = INTERNS = 3
TEMPERATURES = (0.3, 1.2)
ROUNDS = 4


@contextlib.asynccontextmanager
async def ask_by_aiohttp(url: str) -> AsyncIterator[Ask]:
    """Calls over one session."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: dict[str, Any]) -> str:
            async with session.post(f"{url}/chat/completions", json=body) as answer:
                return str((await answer.json())["choices"][0]["message"]["content"])

        yield ask


@contextlib.asynccontextmanager
async def ask_by_openai(url: str) -> AsyncIterator[Ask]:
    """Calls of the SDK as its documentation shows them."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="none") as client:

        async def ask(body: dict[str, Any]) -> str:
            answer = await client.chat.completions.create(**body)
            return answer.choices[0].message.content or ""

        yield ask


def bound_calls(ask: Ask, in_flight: int) -> Ask:
    """The same, at most ``in_flight`` at a time (0: no bound)."""
    if not in_flight:
        return ask
    places = asyncio.Semaphore(in_flight)

    async def ask_in_turn(body: dict[str, Any]) -> str:
        async with places:
            return await ask(body)

    return ask_in_turn


def build_body(model: str, text: str, seed: int, temperature: float) -> dict[str, Any]:
    """A request."""
    message = {"role": "user", "content": text}
    return {"model": model, "messages": [message], "seed": seed, "temperature": temperature, "max_tokens": 512}


async def search_case(ask: Ask, number: int) -> None:
    """One case's rounds; the winner's step joins the prefix until all answers to a proposal are right."""
    prefix: list[str] = []
    for _ in range(ROUNDS):
        known = "\n\n".join(prefix)
        text = f"{INSTRUCTIONS}\nWhat does case {number} show?\n\n## Reasoning so far\n{known}"
        asked = [ask(build_body(f"mentor-{i}", text, number, 1.2)) for i in range(MENTORS)]
        steps = [reply.split("\n\n")[0] for reply in await asyncio.gather(*asked)]
        scores = await asyncio.gather(*(score_step(ask, number, f"{text}\n\n{step}") for step in steps))
        prefix.append(steps[scores.index(max(scores))])
        if max(scores) == 1:
            return


async def score_step(ask: Ask, number: int, text: str) -> float:
    """The share of right answers."""

    async def vote(model: str, temperature: float) -> bool:
        reply = await ask(build_body(model, text, number, temperature))
        answer = reply.rpartition("final answer is: ")[2]
        check = f"{INSTRUCTIONS}\n## Answer to check\n{answer}"
        return (await ask(build_body("judge-0", check, number, 0.0))).startswith("Yes")

    votes = [vote(f"intern-{i}", temperature) for i in range(INTERNS) for temperature in TEMPERATURES]
    return sum(await asyncio.gather(*votes)) / len(votes)


async def run_loop(options: argparse.Namespace, texts: list[str]) -> None:
    """All of it, side by side as far as ``--in-flight`` allows."""
    client = {"aiohttp": ask_by_aiohttp, "openai": ask_by_openai}[options.client]
    async with client(options.url) as plain:
        ask, began = bound_calls(plain, options.in_flight), time.monotonic()
        if options.work == "search":
            await asyncio.gather(*(search_case(ask, number) for number in range(int(options.what))))
        else:
            await asyncio.gather(*(ask(build_body("chat-0", text, n, 0.0)) for n, text in enumerate(texts)))
        print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("work", choices=("calls", "search"))
    parser.add_argument("what")
    parser.add_argument("--client", choices=("aiohttp", "openai"), default="openai")
    parser.add_argument("--in-flight", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(run_loop(given, json.loads(Path(given.what).read_text()) if given.work == "calls" else []))
