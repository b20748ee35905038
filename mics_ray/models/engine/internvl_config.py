"""The configuration of InternVL's own form as a class of ours, so that none of a checkpoint's code is run.

vLLM has the model and its processor, but takes the class of the configuration from the checkpoint's own Python file,
which `trust_remote_code` would run. Importing this module registers the class; so does unpickling a configuration of
it, which is how the processes of an engine get it.
"""

from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from mics_ray.models.engine.internvl_form import DEFAULTS, MODEL_TYPE, TILING, VISION_DEFAULTS


class InternVisionConfig(PreTrainedConfig):  # type: ignore[misc]
    """The vision tower."""

    model_type = "intern_vit_6b"

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{**VISION_DEFAULTS, **fields})


class InternVLChatConfig(PreTrainedConfig):  # type: ignore[misc]
    """Vision tower, language model, and how pictures are cut."""

    model_type = MODEL_TYPE
    has_no_defaults_at_init = True

    def __init__(self, vision_config: dict[str, Any], llm_config: dict[str, Any], **fields: Any) -> None:
        super().__init__(**{**DEFAULTS, **TILING, **fields})
        self.vision_config = InternVisionConfig(**vision_config)
        self.llm_config = CONFIG_MAPPING[llm_config["model_type"]](**llm_config)


AutoConfig.register(MODEL_TYPE, InternVLChatConfig, exist_ok=True)
