"""The two tiny interns before training: tokenizer, processor, chat template, random weights, all in transformers form.

Every picture becomes one 56 x 56 tile and so (but for very long ones in the Qwen form) four visual tokens.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

Form = Literal["internvl", "qwen25vl"]
FORMS: tuple[Form, ...] = ("internvl", "qwen25vl")

SIDE = 56  # 4 x 4 patches of 14 pixels, merged 2 x 2 into VISUAL_TOKENS
VISUAL_TOKENS = 4
VOCABULARY = 1520
_CONTEXT = 16_384  # room for prompts far longer than those of the training
_END, _PAD = "<|im_end|>", "<|endoftext|>"
_INTERNVL_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
_QWEN_TOKENS = {
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}
_TOKENS: dict[Form, dict[str, str]] = {"internvl": _INTERNVL_TOKENS, "qwen25vl": _QWEN_TOKENS}
_PICTURE: dict[Form, str] = {
    "internvl": "<IMG_CONTEXT>\\n",
    "qwen25vl": "<|vision_start|><|image_pad|><|vision_end|>",
}
_CHAT = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}{{ '\\n' }}
{%- if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] in ['image', 'image_url'] -%}
{{ 'PICTURE' }}
{%- elif part['type'] == 'text' -%}
{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant{{ '\\n' }}
{%- endif -%}
"""
# Heads of 32 (128 / 4): the smallest head dimension that vLLM's CPU attention serves.
_TEXT: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 320,
    "max_position_embeddings": _CONTEXT,
    "initializer_range": 0.04,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
}


def make_tokenizer(form: Form, corpus: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE vocabulary learnt from ``corpus``, so that any text can be encoded."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = [_PAD, "<|im_start|>", _END, *_TOKENS[form].values()]
    # All 256 bytes, so that no text is unknown however small the corpus is.
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=_END,
        pad_token=_PAD,
        additional_special_tokens=["<|im_start|>"],
        extra_special_tokens=_TOKENS[form],
        model_max_length=_CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def make_processor(form: Form, tokenizer: PreTrainedTokenizerFast) -> Any:
    """The processor that turns pictures of any size and a chat into model inputs."""
    template = _CHAT.replace("PICTURE", _PICTURE[form])
    half = [0.5, 0.5, 0.5]
    common: dict[str, Any] = {"image_mean": half, "image_std": half}
    if form == "internvl":
        pictures = GotOcr2ImageProcessor(size={"height": SIDE, "width": SIDE}, min_patches=1, max_patches=1, **common)
        films = InternVLVideoProcessor(size={"height": SIDE, "width": SIDE}, **common)
        return InternVLProcessor(pictures, tokenizer, films, image_seq_length=VISUAL_TOKENS, chat_template=template)
    limits = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    pictures = Qwen2VLImageProcessor(size=limits, patch_size=14, merge_size=2, temporal_patch_size=2, **common)
    # Qwen2_5_VLProcessor needs a video processor, though no film ever moves here.
    films = Qwen2VLVideoProcessor(size=limits, patch_size=14, merge_size=2, temporal_patch_size=2, **common)
    return Qwen2_5_VLProcessor(pictures, tokenizer, films, chat_template=template)


def _make_internvl(tokenizer: PreTrainedTokenizerFast, text: dict[str, Any]) -> Any:
    vision = {
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 384,
        "image_size": [SIDE, SIDE],
        "patch_size": [14, 14],
        "layer_scale_init_value": 1.0,
        "initializer_range": 0.04,
    }
    config = InternVLConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", **text},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=VISUAL_TOKENS,
        tie_word_embeddings=True,
    )
    return InternVLForConditionalGeneration(config)


def _make_qwen25vl(tokenizer: PreTrainedTokenizerFast, text: dict[str, Any]) -> Any:
    vision = {
        "depth": 3,
        "hidden_size": 128,
        "out_hidden_size": 128,
        "num_heads": 4,
        "intermediate_size": 256,
        "fullatt_block_indexes": [0, 1, 2],
        "initializer_range": 0.04,
    }
    # The sections (time, height, width) sum to half of the head dimension of 32.
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]}
    config = Qwen2_5_VLConfig(
        vision_config=vision,
        text_config={**text, "rope_parameters": rope},
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        tie_word_embeddings=True,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def make_model(form: Form, tokenizer: PreTrainedTokenizerFast, seed: int) -> Any:
    """Random weights drawn from ``seed``, float32, with the generation settings that end an answer at its end token."""
    # Before the model is made: transformers draws the weights from torch's global generator.
    torch.manual_seed(seed)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    text = {**_TEXT, **ends, "bos_token_id": None, "vocab_size": len(tokenizer)}
    model = (_make_internvl if form == "internvl" else _make_qwen25vl)(tokenizer, text)
    model.generation_config = GenerationConfig(**ends)
    return model
