"""Plain chat records, the form that LLaMA-Factory (``sharegpt``, OpenAI's tags) and ms-swift (``messages``) both read.

Both want one ``<image>`` in the text for each of ``images``. LLaMA-Factory finds paths relative to its ``dataset_dir``,
which is the export; ms-swift in the folder it is started in, or in ``ROOT_IMAGE_DIR``.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mics_ray.config.schema import PromptsConfig
from train.export.samples import Sample

DATASET_INFO: Mapping[str, Any] = {
    "mics_chains": {
        "file_name": "chat.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    }
}
"""``dataset_info.json`` of the export, by which LLaMA-Factory knows the file: ``dataset: mics_chains``."""


def chat_records(samples: Iterable[Sample], prompts: PromptsConfig) -> Iterator[dict[str, Any]]:
    """One conversation a sample: what an intern is asked, and the kept chain.

    ``prompts`` is not needed: every form of an export has the same parameters.
    """
    for sample in samples:
        user = "<image>" * len(sample.images) + sample.prompt
        yield {
            "id": sample.id,
            "messages": [{"role": "user", "content": user}, {"role": "assistant", "content": sample.completion}],
            "images": list(sample.images),
        }
