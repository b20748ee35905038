"""bespokelabs-curator: asks each text of a JSON list once. ``python curator_calls.py URL FILE FOLDER IN_FLIGHT``."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Its tokenizer's file would be fetched from a server; litellm brings the same one.
LITELLM = find_spec("litellm")
os.environ["TIKTOKEN_CACHE_DIR"] = f"{Path(str(LITELLM and LITELLM.origin)).parent}/litellm_core_utils/tokenizers"
os.environ["TELEMETRY_ENABLED"] = "false"
from bespokelabs import curator  # noqa: E402  # it reads both when it is imported

NO_LIMIT = 10**7


class Asker(curator.LLM):  # type: ignore[misc]
    """One question a row."""

    return_completions_object = False

    def prompt(self, row: dict[str, Any]) -> str:
        """The text."""
        return str(row["text"])

    def parse(self, row: dict[str, Any], reply: str) -> dict[str, Any]:
        """The reply beside it."""
        return {"id": row["id"], "reply": reply}


def main(url: str, file: str, folder: str, in_flight: str) -> None:
    """Ask all; prints how many replies there are."""
    texts = json.loads(Path(file).read_text())
    limits = {"max_requests_per_minute": NO_LIMIT, "max_tokens_per_minute": 1000 * NO_LIMIT}
    limits["max_concurrent_requests"] = int(in_flight)
    asker = Asker(model_name="chat-0", backend="openai", backend_params={"base_url": url, "api_key": "none", **limits})
    found = asker([{"id": number, "text": text} for number, text in enumerate(texts)], working_dir=folder)
    print(json.dumps({"replies": len(found.dataset)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
