"""What InternVL's own trainer is called with: METHOD's recipe as its arguments, and the commands of a stage. Pure."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from train.config import TrainConfig, TrainJob
from train.stages import Stage

SCRIPT = "internvl/train/internvl_chat_finetune.py"
MERGE = "tools/merge_lora.py"
ZERO = "zero_stage1_config.json"

_COPY_CODE = (
    "import glob, os, shutil, sys; from huggingface_hub import snapshot_download as fetch; "
    "base, merged = sys.argv[1:]; "
    "base = base if os.path.isdir(base) else fetch(base, allow_patterns=['*.py']); "
    "[shutil.copy(name, merged) for name in glob.glob(os.path.join(base, '*.py'))]"
)
"""The model's own classes, which a saved model refers to and the trainer does not save; engines need them beside it."""

# With these the trainer would import our transformers 5, while it is written for 4.37.
_PYTHONS = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX"}


@dataclass(frozen=True, slots=True)
class StagePaths:
    """Where the files of one stage lie; all absolute, on a file system that all nodes share."""

    folder: Path
    merged: Path

    @property
    def output(self) -> Path:
        """The trainer's own folder: checkpoints, and the adapter inside the unmerged weights at the end."""
        return self.folder / "checkpoints"

    @property
    def logs(self) -> Path:
        """What the trainer writes, one file per node."""
        return self.folder / "logs"

    @property
    def merging(self) -> Path:
        """Where the merge writes; renamed to :attr:`merged` when it is complete."""
        return self.merged.with_name(self.merged.name + ".partial")


@dataclass(frozen=True, slots=True)
class Rendezvous:
    """Where the processes of all nodes meet: the first node's address and a free port there."""

    address: str = "FIRST_NODE"
    port: str = "FREE_PORT"


def chat_folder(config: TrainConfig) -> Path:
    """The folder of the checkout that the trainer runs in."""
    return Path(config.upstream.checkout or "").expanduser().absolute() / "internvl_chat"


def trainer_python(config: TrainConfig) -> str:
    """The trainer's interpreter; links stay, since a virtual environment is known by its link's place."""
    return str(Path(config.upstream.python or "").expanduser().absolute())


def stage_paths(job: TrainJob, stages: list[Stage], number: int) -> StagePaths:
    """Where stage ``number`` works; the last stage's merged weights are the job's."""
    root = Path(job.train.dir).absolute()
    folder = root / stages[number].name
    return StagePaths(folder, (root if number == len(stages) - 1 else folder) / "merged")


def base_model(job: TrainJob, stages: list[Stage], number: int) -> str:
    """What stage ``number`` starts from: the merged weights of the one before, since an adapter that is not merged
    would be wrapped in a second one."""
    if number:
        return str(stage_paths(job, stages, number - 1).merged)
    folder = Path(job.train.model).expanduser()
    return str(folder.absolute()) if folder.is_dir() else job.train.model


def accumulation_steps(config: TrainConfig) -> int:
    """Batches that each process adds up before a step; 0 or less than it should be where the batch does not divide."""
    return config.batch_size // (config.upstream.nodes * config.upstream.gpus_per_node * config.batch_per_device)


def model_arguments(config: TrainConfig) -> dict[str, object]:
    """Which weights learn: an adapter of rank r (alpha 2r, fixed upstream) on the language model, nothing else."""
    return {
        "use_llm_lora": config.lora.rank,
        "freeze_llm": True,
        "freeze_mlp": True,
        "freeze_backbone": True,
        "vision_select_layer": -1,
        "drop_path_rate": 0.0,
        "ps_version": "v2",
        "grad_checkpoint": config.gradient_checkpointing,
    }


def data_arguments(config: TrainConfig) -> dict[str, object]:
    """How samples are cut; upstream's defaults of the first and the last two are wrong for InternVL3."""
    return {
        "conv_style": "internvl2_5",
        "max_seq_length": config.max_seq_length,
        "force_image_size": config.image_size,
        "down_sample_ratio": 0.5,
        "max_dynamic_patch": config.max_tiles,
        "dynamic_image_size": True,
        "use_thumbnail": True,
    }


def training_arguments(config: TrainConfig, seed: int) -> dict[str, object]:
    """What the trainer hands on to transformers; without ``overwrite_output_dir`` it goes on from a checkpoint."""
    return {
        "do_train": True,
        "bf16": True,
        "num_train_epochs": config.epochs,
        **({} if config.max_steps is None else {"max_steps": config.max_steps}),
        "per_device_train_batch_size": config.batch_per_device,
        "gradient_accumulation_steps": accumulation_steps(config),
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": config.warmup_ratio,
        "weight_decay": config.weight_decay,
        "group_by_length": True,
        "dataloader_num_workers": 4,
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": 1,
        "logging_steps": config.log_steps,
        "seed": seed,
        "deepspeed": ZERO,
        "report_to": "tensorboard",
    }


def trainer_arguments(job: TrainJob, stages: list[Stage], number: int) -> dict[str, object]:
    """Every argument of the trainer for stage ``number``, by name."""
    return {
        "model_name_or_path": base_model(job, stages, number),
        "meta_path": stages[number].meta,
        "output_dir": stage_paths(job, stages, number).output,
        **model_arguments(job.train),
        **data_arguments(job.train),
        **training_arguments(job.train, job.seed),
    }


def train_command(job: TrainJob, stages: list[Stage], number: int, node: int, meet: Rendezvous) -> list[str]:
    """One node's launcher for stage ``number``."""
    upstream = job.train.upstream
    return [
        trainer_python(job.train), "-m", "torch.distributed.run",
        f"--nnodes={upstream.nodes}", f"--node_rank={node}", f"--nproc_per_node={upstream.gpus_per_node}",
        f"--master_addr={meet.address}", f"--master_port={meet.port}",
        SCRIPT,
        *(word for name, value in trainer_arguments(job, stages, number).items() for word in (f"--{name}", str(value))),
    ]  # fmt: skip


def merge_commands(job: TrainJob, stages: list[Stage], number: int) -> list[list[str]]:
    """What makes whole weights of stage ``number``'s adapter, in the trainer's Python."""
    where = stage_paths(job, stages, number)
    return [
        [trainer_python(job.train), MERGE, str(where.output), str(where.merging)],
        [trainer_python(job.train), "-c", _COPY_CODE, base_model(job, stages, 0), str(where.merging)],
    ]


def own_environment(config: TrainConfig) -> dict[str, str]:
    """The variables that the trainer needs besides those it inherits."""
    # Without LAUNCHER the trainer expects the variables of SLURM.
    return {"LAUNCHER": "pytorch", "PYTHONPATH": str(chat_folder(config)), "TF_CPP_MIN_LOG_LEVEL": "3"}


def trainer_environment(
    config: TrainConfig, inherited: Mapping[str, str], secrets: Iterable[str], ours: Path
) -> dict[str, str]:
    """A trainer process's variables: the node's, without secrets, without Ray's, without our own Python at ``ours``.

    The thread count that Ray sets for its workers goes too: it counts the bundle's cores, not the trainer's.
    """
    left = _PYTHONS | set(secrets) | {"OMP_NUM_THREADS"}
    kept = {name: value for name, value in inherited.items() if name not in left and not name.startswith("RAY_")}
    folders = kept.get("PATH", "").split(":")
    kept["PATH"] = ":".join([str(Path(trainer_python(config)).parent), *(one for one in folders if one != str(ours))])
    return kept | own_environment(config)


def format_shell_line(config: TrainConfig, command: Iterable[str]) -> str:
    """``command`` as a line for a shell, with its folder and variables."""
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in own_environment(config).items())
    return f"cd {shlex.quote(str(chat_folder(config)))} && {variables} {shlex.join(command)}"


def shell_lines(job: TrainJob, stages: list[Stage]) -> list[str]:
    """Every command of a job as shell lines, in order; those of one stage's nodes run at the same time."""
    upstream, shell = job.train.upstream, []
    meet = Rendezvous("127.0.0.1") if upstream.nodes == 1 else Rendezvous()
    for number, stage in enumerate(stages):
        where = stage_paths(job, stages, number)
        for node in range(upstream.nodes):
            shell.append(f"# stage {stage.name}, node {node}: log in {where.logs / f'node-{node}.log'}")
            shell.append(format_shell_line(job.train, train_command(job, stages, number, node, meet)))
        shell.append(f"# stage {stage.name}: the adapter becomes part of the weights")
        shell += [format_shell_line(job.train, command) for command in merge_commands(job, stages, number)]
        shell.append(shlex.join(["mv", str(where.merging), str(where.merged)]))
    return shell
