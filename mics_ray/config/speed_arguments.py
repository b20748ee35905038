"""Of ``engine_kwargs``, what decides an engine's memory and speed and no reply: it is no part of a run's identity."""

import re
from collections.abc import Mapping
from typing import Any

SPEED_ARGUMENTS = frozenset(
    {
        # How much memory an engine takes, and where weights and cache lie meanwhile.
        "gpu_memory_utilization", "kv_cache_memory_bytes", "num_gpu_blocks_override", "block_size", "cpu_offload_gb",
        "cpu_offload_params", "offload_backend", "offload_group_size", "offload_num_in_group", "offload_params",
        "offload_prefetch_step", "mm_processor_cache_gb", "mm_processor_cache_type", "mm_shm_cache_max_object_size_mb",
        "mm_ipc_gpu_memory_gb", "mm_tensor_ipc", "skip_mm_profiling", "watermark", "kv_offloading_size",
        "kv_offloading_backend", "enable_cumem_allocator",
        # How many requests and tokens go through it at a time, and in which order.
        "max_num_seqs", "max_num_active_seqs", "max_num_queued_reqs", "max_num_queued_tokens",
        "max_num_batched_tokens", "max_num_scheduled_tokens", "enable_chunked_prefill", "disable_chunked_mm_input",
        "long_prefill_token_threshold", "long_prefill_token_threshold_adaptive", "scheduling_policy",
        "async_scheduling", "scheduler_reserve_full_isl", "prefill_schedule_interval", "stream_interval",
        # Work that is done once instead of again, with the same result.
        "enable_prefix_caching", "prefix_caching_hash_algo", "enforce_eager", "cudagraph_capture_sizes",
        "max_cudagraph_capture_size", "renderer_num_workers", "mm_encoder_tp_mode", "max_cpu_loras", "max_loras",
        # How its processes are spread and talk; `tensor_parallel` itself is no part of the identity either.
        "distributed_executor_backend", "disable_custom_all_reduce", "distributed_timeout_seconds",
        "cpu_distributed_timeout_seconds", "numa_bind", "numa_bind_nodes", "numa_bind_cpus", "master_addr",
        "master_port", "device_ids", "shutdown_timeout",
        # How weights come from the disk into memory.
        "download_dir", "max_parallel_loading_workers", "use_tqdm_on_load", "pt_load_map_location",
        "safetensors_load_strategy", "safetensors_prefetch_num_threads", "safetensors_prefetch_block_size",
        # What it says about itself.
        "disable_log_stats", "enable_log_requests", "aggregate_engine_logging", "logging_config", "log_level",
        "log_config_file", "otlp_traces_endpoint", "collect_detailed_traces", "kv_cache_metrics",
        "kv_cache_metrics_sample", "cudagraph_metrics", "enable_mfu_metrics", "enable_logging_iteration_details",
        "enable_mm_processor_stats", "show_hidden_metrics_for_version", "served_model_name", "profiler_config",
        "custom_histogram_buckets", "enable_layerwise_nvtx_tracing", "ray_workers_use_nsight",
    }
)  # fmt: skip
"""Of ``engine_kwargs``: what concerns an engine's memory, speed and logs. A run goes on with another value of it."""
_OF_SPEED = re.compile(rf"(?:^|\.)engine_kwargs\.(?:{'|'.join(sorted(SPEED_ARGUMENTS))})(?:\.|$)")


def drop_speed(view: Mapping[str, Any]) -> dict[str, Any]:
    """A flat view without :data:`SPEED_ARGUMENTS`."""
    return {name: value for name, value in view.items() if not _OF_SPEED.search(name)}
