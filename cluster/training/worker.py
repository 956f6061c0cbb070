"""What a Ray Train worker does: train on from the last checkpoint, and report each new one.

The last checkpoint of a run holds the trained model itself beside `SUMMARY_FILE`. Imports torch
and transformers; what is trained and how is the job's `Kind`. `driver` is the other side.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
import transformers
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from cluster.training.folder import SUMMARY_FILE
from cluster.training.job import TrainJob
from genprm.models.manifest import weights_sha256
from genprm.training.callback import ProgressCallback
from genprm.util.hardware import threads_for_each

CLOCK_FILE = "seconds.json"  # in every checkpoint but the last: seconds of the run so far


class CheckpointCallback(TrainerCallback):
    """Hands every saved checkpoint to Ray Train: rank 0's files, all ranks' consent."""

    def __init__(self, seconds_before: float) -> None:
        self._begun = time.monotonic() - seconds_before

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, over all attempts."""
        return time.monotonic() - self._begun

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        checkpoint = None
        folder = get_last_checkpoint(str(args.output_dir))
        if state.is_world_process_zero:
            assert folder is not None  # saved just before
            Path(folder, CLOCK_FILE).write_text(json.dumps(self.seconds))
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report({"step": state.global_step}, checkpoint=checkpoint)
        if folder is not None:
            shutil.rmtree(folder)  # Ray has its copy


def run_worker(job: TrainJob) -> None:
    """Run or resume the job; done at once where the run's last checkpoint is there."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    _use_cores(job.node_cpus)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        _train(job, None)
        return
    with checkpoint.as_directory() as folder:
        if not Path(folder, SUMMARY_FILE).is_file():
            _train(job, folder)


def _train(job: TrainJob, resume_from: str | None) -> None:
    before = json.loads(Path(resume_from, CLOCK_FILE).read_text()) if resume_from else 0.0
    clock = CheckpointCallback(before)
    progress = ProgressCallback(lambda now: job.board.tell.remote(now))
    with tempfile.TemporaryDirectory(prefix="genprm-train-") as folder:
        trainer = job.kind.build_trainer(
            job.model,
            ray.get(job.dataset),
            job.config,
            Path(folder, "checkpoints"),
            callbacks=[progress, clock, *job.callbacks],
        )
        trainer.train(resume_from_checkpoint=resume_from)
        seconds = clock.seconds
        checkpoint = None
        if trainer.is_world_process_zero():
            trained = Path(folder, "trained")
            summary = {
                "metrics": job.kind.summary(trainer),
                "tokens": int(trainer.state.num_input_tokens_seen),
                "seconds": seconds,
                "base_sha256": weights_sha256(_local_folder(job.model)),
            }
            job.kind.save(trainer, trained, job.base)
            (trained / SUMMARY_FILE).write_text(json.dumps(summary))
            checkpoint = ray.train.Checkpoint.from_directory(str(trained))
        ray.train.report({"step": trainer.state.global_step}, checkpoint=checkpoint)


def _local_folder(model: str) -> Path:
    """The directory on this machine with the files of a model that was just loaded."""
    from huggingface_hub import try_to_load_from_cache

    if Path(model).is_dir():
        return Path(model)
    config = try_to_load_from_cache(model, "config.json")
    return Path(config).parent if isinstance(config, str) else Path(model)


def _use_cores(node_cpus: int) -> None:
    """Divide the machine's cores among its workers.

    Ray sets OMP_NUM_THREADS to the CPUs that it reserved: one less than there are, or more than
    there are where Ray was started with more logical CPUs than that.
    """
    workers = ray.train.get_context().get_local_world_size()
    torch.set_num_threads(threads_for_each(workers, cores=node_cpus))
