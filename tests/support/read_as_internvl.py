"""A program: what the data set class of a clone of OpenGVLab/InternVL makes of the data sets of a meta file.

``CLONE/internvl_chat META sft|mpo`` -> a JSON line for each record: the pixels that it loaded, what it read, how often
it took a random other record. Only what the class needs is theirs; its trainers' other imports are empty modules.
"""

import hashlib
import json
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
from transformers import AutoTokenizer

from mics_ray.assemble.locations import resolve_embedded

EMPTY = (
    "petrel_client", "decord", "imageio", "trl", "internvl.dist_utils", "internvl.model.internlm2.modeling_internlm2",
    "internvl.model.internvl_chat", "internvl.patch", "internvl.train.dataset_packed", "internvl.train.trainer_dpo",
)  # fmt: skip
NAMES = {"sft": "internvl_chat_finetune", "mpo": "internvl_chat_mpo"}


class Tokenizer:
    """The tiny intern's tokenizer with the trainer's control tokens; lists of arrays, as transformers 4 gives them."""

    model_max_length, pad_token_id, add_bos_token = 8192, 0, False

    def __init__(self) -> None:
        self.real = AutoTokenizer.from_pretrained(resolve_embedded("embedded:interns/internvl"))
        self.real.add_tokens(["<img>", "</img>", "<IMG_CONTEXT>"], special_tokens=True)
        self.convert_tokens_to_ids = self.real.convert_tokens_to_ids

    def __call__(self, texts: Any, **_: Any) -> Any:
        one = isinstance(texts, str)
        found = [
            np.array(self.real(text, add_special_tokens=False)["input_ids"]) for text in ([texts] if one else texts)
        ]
        return MagicMock(input_ids=np.array(found) if one else found)


def import_trainer(chat: str, kind: str) -> Any:
    """The module that holds the class."""
    for name in EMPTY:
        empty: Any = ModuleType(name)
        empty.__getattr__ = lambda name: MagicMock(name=name) if name[0] != "_" else None
        sys.modules[name] = empty
    # Without it upstream reads with Pillow, as everybody does who has no Ceph.
    sys.modules["petrel_client"] = None  # type: ignore[assignment]
    sys.path.insert(0, chat)
    return __import__(f"internvl.train.{NAMES[kind]}", fromlist=["LazySupervisedDataset"])


def main(chat: str, meta: str, kind: str) -> None:
    """Read every record once, in the order of the file."""
    told, sys.stdout = sys.stdout, sys.stderr  # where upstream prints
    module, tokenizer, loaded = import_trainer(chat, kind), Tokenizer(), list[str]()

    class Watched(module.LazySupervisedDataset):  # type: ignore[misc, name-defined]
        def load_image(self, image_path: str) -> Any:
            image = super().load_image(image_path)
            loaded.append(hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest())
            return image

    for name, entry in json.loads(Path(meta).read_text()).items():
        data = Watched(
            "internvl2_5", entry, tokenizer, None, name, 4, image_size=28, is_train=entry["data_augment"],
            dynamic_image_size=True, use_thumbnail=True, max_dynamic_patch=entry["max_dynamic_patch"],
            repeat_time=entry["repeat_time"], **({"group_by_length": True} if kind == "sft" else {}),
        )  # fmt: skip
        for place in range(len(data)):
            loaded.clear()
            taken = random.getstate()
            item = data[place]
            fields = ("input_ids", "labels") if kind == "sft" else ("chosen_input_ids", "rejected_input_ids")
            texts = [tokenizer.real.decode([int(one) for one in item[field] if one >= 0]) for field in fields]
            found = {
                "id": json.loads(data.raw_data[place])["id"], "pictures": list(loaded), "texts": texts,
                "tiles": len(item["pixel_values"]), "flags": int(item["image_flags"].sum()),
                "replaced": random.getstate() != taken,
            }  # fmt: skip
            told.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
