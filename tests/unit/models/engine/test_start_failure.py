"""Why an engine did not start, from errors and output as vLLM 0.32 gives them."""

import pytest

from mics_ray.models.engine.start_failure import explain_failure

CORE_ENDED = "Engine core initialization failed. See root cause above. Failed core proc(s): {%s}"
LINE = "(EngineCore pid=861) ERROR 11-29 10:22:56 [core.py:1510] "
SMALL_CACHE = (
    "ValueError: To serve at least one request with the model's max seq len (16384), (0.02 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (0.01 GiB). Based on the available memory, the estimated "
    "maximum model length is 640. Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU "
    "backend) or decreasing `max_model_len` when initializing the engine."
)


def pydantic(words: str) -> str:
    return (
        f"1 validation error for VllmConfig\n  Value error, {words} [type=value_error, input_value=ArgsKwargs((), "
        "{'model_co... 'shutdown_timeout': 0}), input_type=ArgsKwargs]\n    For further information visit https://x"
    )


@pytest.mark.parametrize(
    ("message", "output", "said"),
    [
        (
            CORE_ENDED % "",
            f"{LINE}EngineCore failed to start.\n{LINE}Traceback (most recent call last):\n{LINE}{SMALL_CACHE}\n",
            "the KV cache is too small for max_model_len 16,384: 0.02 GiB needed, 0.01 there; max_model_len 640 fits",
        ),
        (
            CORE_ENDED % "",
            SMALL_CACHE.replace("Based on the available memory, the estimated maximum model length is 640. ", ""),
            "the KV cache is too small for max_model_len 16,384: 0.02 GiB needed, 0.01 there",
        ),
        (
            CORE_ENDED % "",
            f"{LINE}ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
            "no memory is left for the KV cache beside the weights; more gpus, tensor_parallel or "
            "engine_kwargs.gpu_memory_utilization",
        ),
        (
            CORE_ENDED % "",
            f"{LINE}ValueError: Free memory on device cuda:0 (12.5/79.1 GiB) on startup is less than desired GPU "
            "memory utilization (0.9, 71.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by others.",
            "of cuda:0 12.5/79.1 GiB are free, less than gpu_memory_utilization 0.9 takes",
        ),
        (
            CORE_ENDED % "",
            f"{LINE}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity",
            "the weights do not fit into the GPU's memory (2.00 GiB more were asked for); more tensor_parallel or gpus",
        ),
        (
            pydantic("Total number of attention heads (4) must be divisible by tensor parallel size (3)."),
            "",
            "tensor_parallel 3 does not divide the 4 attention heads",
        ),
        (
            pydantic(
                "User-specified max_model_len (99999) is greater than the derived max_model_len "
                "(max_position_embeddings=16384.0 or model_max_length=None in model's config.json). To allow"
            ),
            "",
            "max_model_len 99,999 is above what the model takes (16,384)",
        ),
        (
            CORE_ENDED % "",
            "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully",
            "its weights are cut short or damaged",
        ),
        (
            CORE_ENDED % "",
            f"{LINE}RuntimeError: start (0) + length (640) exceeds dimension size (320).\n",
            "its weights do not fit its config.json (start (0) + length (640) exceeds dimension size (320).)",
        ),
        (pydantic("something that is not known here."), "", "something that is not known here."),
        (
            CORE_ENDED % "'EngineCore': -9",
            "",
            "its process was killed (signal 9); the system does so where the node's memory is full",
        ),
        (CORE_ENDED % "'EngineCore': -11", "", "its process was killed (signal 11)"),
        (CORE_ENDED % "", "", f"RuntimeError: {CORE_ENDED % ''}"),
        (
            CORE_ENDED % "'EngineCore': 1",
            f"(Worker_TP1 pid=5) ERROR 11-29 10:22:56 [multiproc_executor.py:953] RuntimeError: NCCL error: no\n"
            f"{LINE}Exception: WorkerProc initialization failed due to an exception in a background process. See stack "
            "trace for root cause.\n",
            "RuntimeError: NCCL error: no",
        ),
    ],
)
def test_the_cause_is_said_in_one_line(message: str, output: str, said: str) -> None:
    assert explain_failure(RuntimeError(message), output) == said


def test_the_first_cause_of_a_chain_is_told() -> None:
    error = RuntimeError(CORE_ENDED % "")
    error.__cause__ = OSError("no space left on device")
    assert explain_failure(error, "KeyError: 'later'") == "OSError: no space left on device"


def test_warnings_are_no_cause() -> None:
    output = "WARNING 11-29 10:22:18 [cpu.py:224] Failed to import x: ModuleNotFoundError: No module named 'x'\n"
    assert explain_failure(RuntimeError(CORE_ENDED % ""), output) == f"RuntimeError: {CORE_ENDED % ''}"
