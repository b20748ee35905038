"""Ray Data LLM's HTTP processor: asks each text of a JSON list once. ``python ray_data.py URL FILE``."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray
from ray.data.llm import HttpRequestProcessorConfig, build_processor

WORKERS, BATCH, SIDE_BY_SIDE = 4, 4, "64"
"""A batch asks one after the other, and a worker has four batches at a time unless a variable says otherwise."""


def build_payload(row: dict[str, Any]) -> dict[str, Any]:
    """One request."""
    message = {"role": "user", "content": row["text"]}
    body = {"model": "chat-0", "messages": [message], "seed": row["id"], "temperature": 0.0, "max_tokens": 512}
    return {"payload": body}


def read_reply(row: dict[str, Any]) -> dict[str, Any]:
    """Its text."""
    return {"reply": row["http_response"]["choices"][0]["message"]["content"]}


def main(url: str, file: str) -> None:
    """Ask all; prints how many replies there are."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DATA_DEFAULT_ASYNC_BATCH_UDF_MAX_CONCURRENCY=SIDE_BY_SIDE)
    ray.init("local", include_dashboard=False, log_to_driver=False)
    texts = json.loads(Path(file).read_text())
    config = HttpRequestProcessorConfig(
        url=f"{url}/chat/completions", concurrency=WORKERS, batch_size=BATCH, http_request_stage={"num_cpus": 0.1}
    )
    processor = build_processor(config, preprocess=build_payload, postprocess=read_reply)
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    replies = processor(ray.data.from_items(rows, override_num_blocks=2 * WORKERS)).take_all()
    print(json.dumps({"replies": len(replies)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
