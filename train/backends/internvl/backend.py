"""Backend ``internvl``: InternVL's own trainer, from the user's checkout and in its own Python, on the cluster."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mics_ray.errors import RefusedRun
from train.backends.base import Say
from train.backends.internvl.checkout import check_checkout, check_original_model
from train.backends.internvl.commands import (
    accumulation_steps,
    chat_folder,
    data_arguments,
    merge_commands,
    model_arguments,
    shell_lines,
    stage_paths,
    train_command,
    trainer_python,
)
from train.backends.internvl.output import (
    STATE,
    is_trained,
    remove_partial_checkpoints,
    whole_checkpoints,
    write_losses,
)
from train.config import TrainConfig, TrainJob
from train.stages import Stage, read_stages

if TYPE_CHECKING:
    from train.backends.internvl.nodes import NodeGroup

_FIXED: dict[str, object] = {"dtype": "bfloat16", "use_gpu": True, "revision": None, "model_kwargs": {}, "workers": 1}
"""Fields that InternVL's trainer gives no choice in."""
_LORA_DROPOUT = 0.05  # the default of wrap_llm_lora there, which the trainer does not override


class InternVLTrainer:
    """See :class:`~train.backends.base.TrainBackend`. A merged stage is done; others go on or begin."""

    def check_training(self, job: TrainJob) -> None:
        """Refuse a job that cannot work, from the configuration to the checkout's arguments; nothing is started."""
        config = job.train
        for name in ("checkout", "python"):
            if getattr(config.upstream, name) is None:
                raise RefusedRun(f"train.upstream.{name} is not set: the backend internvl needs the {_MEANING[name]}")
        _check_fixed(config)
        _check_batch(config)
        stages = read_stages(job.export.dir, job.export.stages)
        _check_tiles(config, stages)
        check_original_model(config.model)
        check_checkout(
            chat_folder(config),
            trainer_python(config),
            ["model_name_or_path", *model_arguments(config)],
            ["meta_path", *data_arguments(config)],
        )

    def list_commands(self, job: TrainJob) -> list[str]:
        """See the protocol."""
        return shell_lines(job, read_stages(job.export.dir, job.export.stages))

    def find_checkpoints(self, job: TrainJob) -> list[Path]:
        """See the protocol."""
        root = Path(job.train.dir)
        kept = [path for output in root.glob("*/checkpoints") for path in whole_checkpoints(output)]
        ends = (path for pattern in (f"*/checkpoints/{STATE}", "*/merged", "merged") for path in root.glob(pattern))
        return [*kept, *ends]

    def train_stages(self, job: TrainJob, say: Say) -> Path:
        """See the protocol. Needs a shared file system where there are several nodes."""
        # Ray is loaded only here: checks and dry run do without it.
        from mics_ray.jobs.stop_signal import StopSignal
        from mics_ray.runtime.driver.cluster import join_cluster
        from train.backends.internvl.nodes import open_node_group

        stages = read_stages(job.export.dir, job.export.stages)
        todo = [number for number in range(len(stages)) if not stage_paths(job, stages, number).merged.is_dir()]
        stop = StopSignal()
        if todo:
            with (
                join_cluster(job.ray),
                stop.handle_signals(),
                open_node_group(job.train, lambda: stop.asked, say) as nodes,
            ):
                nodes.check_files(_list_needed_files(job, stages))
                for number in todo:
                    _train_and_merge(job, stages, number, nodes, say)
        return stage_paths(job, stages, len(stages) - 1).merged


_MEANING = {"checkout": "root of a clone of OpenGVLab/InternVL", "python": "interpreter of the trainer's environment"}


def _train_and_merge(job: TrainJob, stages: list[Stage], number: int, nodes: "NodeGroup", say: Say) -> None:
    from train.curves import plot_curves

    where, name = stage_paths(job, stages, number), f"stage {stages[number].name}"
    for folder in (where.folder, where.logs):
        folder.mkdir(mode=0o700, exist_ok=True)
    # A run may have been ended between training and merge.
    if not is_trained(where):
        remove_partial_checkpoints(where.output)
        start = whole_checkpoints(where.output)
        say(
            f"{name}: {stages[number].sample_count} samples, "
            f"from {start[-1].name if start else 'the start'}; {where.logs}"
        )
        meet, ranks = nodes.choose_rendezvous(), range(job.train.upstream.nodes)
        commands = {node: train_command(job, stages, number, node, meet) for node in ranks}
        nodes.run_commands(name, commands, {node: where.logs / f"node-{node}.log" for node in ranks})
    if write_losses(where):
        say(f"{name}: curves in {plot_curves(where.folder)}")
    say(f"{name}: merging the adapter")
    # The rename below declares this folder whole, so nothing of a merge that was killed may be in it.
    shutil.rmtree(where.merging, ignore_errors=True)
    for command in merge_commands(job, stages, number):
        nodes.run_commands(f"{name}, merge", {0: command}, {0: where.logs / "merge.log"})
    where.merging.replace(where.merged)


def _list_needed_files(job: TrainJob, stages: list[Stage]) -> list[str]:
    """What every node must see."""
    data = [path for stage in stages for entry in stage.entries for path in (entry.annotation, entry.root)]
    model = Path(job.train.model).expanduser()
    # A hub id is fetched by each node itself.
    local = [model.absolute()] if model.is_dir() else []
    places = [Path(job.train.dir).absolute(), chat_folder(job.train), Path(trainer_python(job.train)), *local]
    return [str(path) for path in [*places, *(stage.meta for stage in stages), *data]]


def _check_fixed(config: TrainConfig) -> None:
    for name, only in _FIXED.items():
        if getattr(config, name) != only:
            raise RefusedRun(f"train.{name}: the backend internvl knows {only} only, as its trainer does; leave it out")
    lora = config.lora
    if lora.alpha != 2 * lora.rank or lora.dropout != _LORA_DROPOUT:
        raise RefusedRun(
            f"train.lora: InternVL's trainer fixes alpha at twice the rank and dropout at {_LORA_DROPOUT}; "
            f"set train.lora.alpha={2 * lora.rank} train.lora.dropout={_LORA_DROPOUT}"
        )


def _check_batch(config: TrainConfig) -> None:
    nodes, gpus, each = config.upstream.nodes, config.upstream.gpus_per_node, config.batch_per_device
    if min(nodes, gpus, each, config.batch_size) < 1:
        raise RefusedRun("train: nodes, gpus_per_node, batch_per_device and batch_size must each be at least 1")
    at_once = nodes * gpus * each
    # Elsewhere the accumulation steps are rounded down, to 0 at worst, and the batch is not the recipe's.
    if config.batch_size == at_once * accumulation_steps(config):
        return
    fitting = [smaller for smaller in range(each, 0, -1) if config.batch_size % (nodes * gpus * smaller) == 0]
    advice = (
        f"set train.batch_per_device={fitting[0]}"
        if fitting
        else f"let nodes x gpus_per_node, which is {nodes * gpus}, divide it"
    )
    raise RefusedRun(
        f"train.batch_size {config.batch_size} is no multiple of {nodes} node(s) x {gpus} GPU(s) x {each} sample(s) "
        f"a GPU = {at_once}; {advice}"
    )


def _check_tiles(config: TrainConfig, stages: list[Stage]) -> None:
    """A data set's own number of tiles wins in the trainer, while the saved weights name the job's."""
    for stage in stages:
        for entry in stage.entries:
            if entry.tiles not in (None, config.max_tiles):
                raise RefusedRun(
                    f"stage {stage.name}, data set {entry.name}: exported with {entry.tiles} tile(s) a sample, but "
                    f"train.max_tiles is {config.max_tiles}; make them the same"
                )
