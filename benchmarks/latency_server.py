"""A simulated OpenAI-compatible provider with given latencies, for benchmarks: nothing in it reasons.

Mentors write chains of four steps; an intern is right more often with more steps; the judge compares strings.
"""

import argparse
import asyncio
import hashlib
import json
import random
import sys
from typing import Any

from aiohttp import web

LATENCY_S = {"mentor": 0.4, "intern": 0.1, "judge": 0.1}
"""Means; each call takes between half and one and a half of its kind's."""
RIGHT = (0.25, 0.45, 0.6, 0.7, 0.8)
"""Chance of a right answer by number of steps in the prefix, on the average case."""


def prompt_text(body: dict[str, Any]) -> str:
    """The prompt's text."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def compose_reply(kind: str, prompt: str, rng: random.Random) -> str:
    """What the simulated model says."""
    if kind == "mentor":
        first = prompt.count("### Step ", prompt.rfind("## Reasoning so far")) + 1
        steps = [
            f"### Step {k}: Observation {rng.randrange(10**6)} of the case." for k in range(first, max(first + 1, 5))
        ]
        return "\n\n".join([*steps, "### The final answer is: right"])
    if kind == "intern":
        known = prompt.count("### Step ", prompt.rfind("## Reasoning so far"))
        hard = hashlib.sha256(prompt.split("## Reasoning so far")[0].encode()).digest()[0] / 255
        right = rng.random() < RIGHT[min(known, 4)] * (1.3 - 0.6 * hard)
        # No two answers are worded alike, so no verdict can be saved by asking once.
        return f"### The final answer is: {'right' if right else 'wrong'}, said in {rng.randrange(10**9)} words"
    return "Yes" if "## Answer to check\nright" in prompt else "No"


async def answer_chat(request: web.Request) -> web.Response:
    """One completion after its latency."""
    body = json.loads(await request.read())
    kind = body["model"].split("-")[0]
    prompt = prompt_text(body)
    # By what was asked: the same request is answered alike, whatever came before it.
    rng = random.Random(f"{body['seed']}{body['temperature']}{prompt}")
    await asyncio.sleep(LATENCY_S[kind] * rng.uniform(0.5, 1.5))
    text = compose_reply(kind, prompt, rng)
    usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4, "total_tokens": 0}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({"id": "sim", "object": "chat.completion", "choices": [choice], "usage": usage})


async def main(port: int) -> None:
    """Serve until standard input closes."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer_chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # A benchmark opens hundreds of connections at once; the default of 128 would refuse some of them.
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=4096)
    await site.start()
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}/v1"}), flush=True)
    # The benchmark that started us closes the pipe when it ends, also when it is killed.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(main(parser.parse_args().port))
