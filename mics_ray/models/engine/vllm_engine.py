"""One model on vLLM inside this process. The only module that knows vLLM; it is imported when an engine starts.

The model's own chat template and processor build the prompt (vLLM's renderer, the way its API server does it), so a
model that vLLM serves needs configuration only. Pictures go to the engine as pictures, never as text.
"""

import asyncio
import importlib
import itertools
import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from mics_ray.config.sampling import OF_MODEL, PARAMETERS
from mics_ray.config.schema import ModelConfig
from mics_ray.models.engine.checkpoint import check_checkpoint
from mics_ray.models.engine.conversation import build_conversation
from mics_ray.models.engine.hub import fetch_model
from mics_ray.models.engine.internvl_form import MODEL_TYPE, find_chat_template
from mics_ray.models.engine.vllm_settings import (
    check_libraries,
    engine_args,
    engine_environment,
    is_cpu_build,
    wait_for_gpu_turn,
)
from mics_ray.models.pictures.reading import decode_picture
from mics_ray.models.types import Failure, LostCall, Pictures, Reply, Request, decode_options, read_choice

DECODED_CASES = 16
"""Cases whose decoded pictures are kept; five of 2048 x 2048 pixels take 60 MB."""
CHOICE_TOKENS = 16
"""Room for the longest text of a choice, whatever the entry's ``max_tokens``."""
TEMPLATE_SETTINGS: dict[str, Any] = {"add_generation_prompt": True, "tokenize": False}
TRANSFORMERS_TOP_K = 50
"""What `transformers` samples from where a model's generation_config does not say."""
_PICTURE_LIMIT = re.compile(r"At most (\d+) image\(s\) may be provided")
ATTEMPTS = 2
"""vLLM may fail one request to get its picture caches in step again, and expects it a second time."""


class EngineDead(Exception):
    """The engine's process is gone for good: this process must be replaced."""


def choose_template_settings(request: Request) -> dict[str, Any]:
    """How the chat template is filled in: for a choice without thoughts, where the template can leave them out."""
    chooses = read_choice(request.options) is not None
    return TEMPLATE_SETTINGS | ({"enable_thinking": False} if chooses else {})


def choose_sampling_params(options: str, of_model: Mapping[str, Any]) -> dict[str, Any]:
    """What a request's options say of sampling, as vLLM's ``SamplingParams`` names it.

    ``of_model`` is what the model's generation_config sets; where it is asked for, the rest is as in `transformers`.
    """
    sampling = decode_options(options).get("sampling", {})
    if sampling != OF_MODEL:
        return dict(sampling)
    told: dict[str, Any] = {"top_k": TRANSFORMERS_TOP_K, **of_model}
    return {name: told[name] for name in PARAMETERS if told.get(name) is not None}


def limit_new_tokens(prompt_tokens: int, max_tokens: int, max_model_len: int) -> int:
    """How many tokens may be generated, at most ``max_tokens``. Raises :class:`LostCall` when there is no room."""
    if prompt_tokens >= max_model_len:
        said = f"max_model_len {max_model_len:,} is below the {prompt_tokens:,} tokens of the prompt"
        raise LostCall(Failure("too_long", said))
    return min(max_tokens, max_model_len - prompt_tokens)


def check_picture_places(prompt: Mapping[str, Any], sent: int) -> None:
    """Raise :class:`LostCall` unless the rendered ``prompt`` has one place for each picture ``sent`` and no more."""
    places = prompt.get("mm_placeholders", {}).get("image", ())
    ids: Sequence[int] = prompt["prompt_token_ids"]
    inside: set[int] = set()
    for place in places:
        mask = place.is_embed
        inside.update(i + place.offset for i in range(place.length) if mask is None or mask[i])
    tokens = {ids[i] for i in inside}  # the ids that stand for pictures, whatever the model calls them
    strays = sum(1 for i, token in enumerate(ids) if token in tokens and i not in inside)
    if len(places) != sent or strays:
        message = f"{sent} pictures sent, {len(places)} places in the prompt, {strays} stray picture tokens"
        raise LostCall(Failure("pictures", message))


class VllmEngine:
    """A :class:`~mics_ray.models.types.Model` on an ``AsyncLLM`` in this process."""

    def __init__(self, llm: Any, adapter: Any = None) -> None:
        """``adapter`` is vLLM's ``LoRARequest``, laid over the model in every request."""
        self._llm, self._adapter = llm, adapter
        self._numbers = itertools.count()
        self.prompt_tokens = 0
        """Of all prompts so far."""
        self.prefix_hits = 0
        """Those of them that came from the prefix cache."""
        self._decoded: OrderedDict[str, asyncio.Future[list[Any]]] = OrderedDict()

    @property
    def cache_tokens(self) -> int:
        """Tokens that the prefix cache holds, those of requests under way included."""
        cache = self._llm.vllm_config.cache_config
        return int(cache.num_gpu_blocks or 0) * int(cache.block_size)

    @cached_property
    def _sampling_of_model(self) -> dict[str, Any]:
        found: dict[str, Any] = self._llm.model_config.get_diff_sampling_param()  # reads a file
        return found

    @classmethod
    async def start(cls, config: ModelConfig, on_gpu: bool) -> "VllmEngine":
        """Load the model (seconds to minutes). Call it from the loop that will ask. Raises as :func:`engine_args`.

        Raises ``OSError`` where a library of the system is missing, and :class:`RefusedRun` for a folder that holds no
        whole model.
        """
        if is_cpu_build():
            check_libraries()
        config = await asyncio.to_thread(fetch_model, config)
        args = engine_args(config, on_gpu)
        await asyncio.to_thread(check_checkpoint, config.model, config.revision, config.processor_kwargs)
        for name, value in engine_environment(config, on_gpu).items():
            os.environ.setdefault(name, value)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        importlib.import_module("mics_ray.models.engine.internvl_config")  # registers its class
        async with wait_for_gpu_turn(config, on_gpu):
            llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**args))
        adapter = None if config.adapter is None else _lora_request(config.adapter)
        try:
            llm.renderer.warmup(_chat_params(llm, TEMPLATE_SETTINGS))
            if adapter is not None:
                await llm.add_lora(adapter)
        except BaseException:
            llm.shutdown()  # its processes would outlive a start that failed
            raise
        return cls(llm, adapter)

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """Generate. Raises :class:`EngineDead`, and :class:`LostCall`.

        Its kinds: `pictures`, `picture_limit`, `too_long`, `prompt` and `engine`.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            for _ in range(ATTEMPTS):
                reply = await self._generate_reply(request, await self._render_prompt(request, pictures))
                if reply.finish in ("stop", "length"):
                    return reply
        except EngineDeadError as dead:
            raise EngineDead from dead
        raise LostCall(Failure("engine", f"the engine ended the request with `{reply.finish}`"), reply.text)

    async def stream(self, request: Request, pictures: Pictures | None) -> AsyncIterator[str]:
        """Generate, and hand the text out part after part as it comes. Raises as :meth:`complete` does."""
        from vllm.v1.engine.exceptions import EngineDeadError

        finish = None
        try:
            prompt = await self._render_prompt(request, pictures)
            async for output in self._stream_outputs(request, prompt, in_parts=True):
                yield output.outputs[0].text
                finish = output.outputs[0].finish_reason
        except EngineDeadError as dead:
            raise EngineDead from dead
        if finish not in ("stop", "length"):
            raise LostCall(Failure("engine", f"the engine ended the request with `{finish}`"))

    async def probe(self) -> None:
        """Generate one token, so that a hung engine shows. Raises :class:`EngineDead`."""
        request = Request("", "", "", "", "?", "", temperature=0.0, max_tokens=1, seed=0)
        await self.complete(request, None)

    def stop(self) -> None:
        """End the engine's processes."""
        self._llm.shutdown()

    async def _render_prompt(self, request: Request, pictures: Pictures | None) -> Any:
        """The tokens and processed pictures of a request, its number of pictures checked."""
        from vllm.exceptions import VLLMError, VLLMValidationError
        from vllm.renderers.chat_utils import ChatTemplateResolutionError
        from vllm.renderers.params import TokenizeParams

        images = await self._decode_pictures(pictures) if pictures else []
        # Without vLLM's own limit, which cuts the count of tokens short that a refusal should tell.
        limit = TokenizeParams(max_total_tokens=None, add_special_tokens=False)
        try:
            _, (prompt,) = await self._llm.renderer.render_chat_async(
                [build_conversation(request, images, self._picture_word())],
                _chat_params(self._llm, choose_template_settings(request)),
                limit,
            )
        except VLLMValidationError as error:
            if allowed := _PICTURE_LIMIT.match(str(error)):
                said = f"{len(images)} picture(s), the engine takes {allowed[1]} (engine_kwargs.limit_mm_per_prompt)"
                raise LostCall(Failure("picture_limit", said)) from None
            raise LostCall(Failure("prompt", f"vLLM refused the prompt over `{error.parameter}`")) from None
        except ChatTemplateResolutionError:
            said = "the model has no chat template (chat_template.jinja); save the processor beside it"
            raise LostCall(Failure("prompt", said)) from None
        except (VLLMError, ValueError, TypeError, RuntimeError) as error:
            # Their messages may quote the prompt.
            kind = "pictures" if images else "prompt"
            raise LostCall(Failure(kind, f"the prompt could not be built ({type(error).__name__})")) from None
        check_picture_places(prompt, len(images))
        return prompt

    def _picture_word(self) -> str | None:
        """What stands for a picture where the model's template takes texts only."""
        return "<image>" if self._llm.model_config.hf_config.model_type == MODEL_TYPE else None

    async def _generate_reply(self, request: Request, prompt: Any) -> Reply:
        """One generation; what vLLM refuses or drops becomes :class:`LostCall`."""
        async for output in self._stream_outputs(request, prompt, in_parts=False):
            last = output
        done = last.outputs[0]
        used, hits = len(last.prompt_token_ids), last.num_cached_tokens or 0
        self.prompt_tokens += used
        self.prefix_hits += hits
        return Reply(done.text, done.finish_reason or "abort", used, len(done.token_ids), cached_tokens=hits)

    async def _stream_outputs(self, request: Request, prompt: Any, in_parts: bool) -> AsyncIterator[Any]:
        """What vLLM puts out for a prompt: its whole text once, or part after part."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
        from vllm.v1.engine.exceptions import EngineGenerateError

        choice = read_choice(request.options)
        # A choice ends by itself, and one that is cut says nothing.
        wanted = request.max_tokens if choice is None else max(request.max_tokens, CHOICE_TOKENS)
        size = limit_new_tokens(len(prompt["prompt_token_ids"]), wanted, self._llm.model_config.max_model_len)
        params = SamplingParams(
            temperature=request.temperature,
            max_tokens=size,
            seed=request.seed,
            output_kind=RequestOutputKind.DELTA if in_parts else RequestOutputKind.FINAL_ONLY,
            structured_outputs=None if choice is None else StructuredOutputsParams(choice=choice),
            **choose_sampling_params(request.options, self._sampling_of_model),
        )
        try:
            async for output in self._llm.generate(
                prompt, params, str(next(self._numbers)), lora_request=self._adapter
            ):
                yield output
        except VLLMClientError as error:
            raise LostCall(Failure("prompt", f"vLLM refused the request ({type(error).__name__})")) from None
        except EngineGenerateError as error:
            raise LostCall(Failure("engine", f"vLLM failed ({type(error.__cause__).__name__})")) from None

    async def _decode_pictures(self, pictures: Pictures) -> list[Any]:
        """The decoded pictures of a case, decoded once while its requests come."""
        known = self._decoded
        if pictures.digest not in known:
            work = asyncio.to_thread(lambda: [decode_picture(data) for data in pictures.files])
            # A future, not its result: the other requests of the case come while the first is still decoding.
            known[pictures.digest] = asyncio.ensure_future(work)
            while len(known) > DECODED_CASES:
                known.popitem(last=False)
        known.move_to_end(pictures.digest)
        try:
            return await asyncio.shield(known[pictures.digest])
        except Exception as error:  # Pillow's readers raise whatever a broken file leads them to
            raise LostCall(Failure("pictures", f"a picture could not be decoded ({type(error).__name__})")) from None


def _chat_params(llm: Any, settings: Mapping[str, Any]) -> Any:
    from vllm.renderers.params import ChatParams

    config = llm.model_config.hf_config
    template = find_chat_template({"model_type": config.model_type, "template": getattr(config, "template", None)})
    return ChatParams(chat_template=template, chat_template_kwargs=dict(settings))


def _lora_request(folder: str) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, os.path.abspath(folder))
