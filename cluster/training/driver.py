"""Train a model on Ray: the rows are prepared here, Ray Train's workers train, and the finished
model appears in OUT all at once.

    OUT           weights or adapter, tokenizer, chat template, genprm_manifest.json
    OUT.parts/    while unfinished: run.json, and Ray Train's checkpoints unless
                  runtime.storage_path keeps them elsewhere

The same command goes on from the last checkpoint after any death, of a worker or of this process.
Knows files and Ray; what is trained and how is a `Kind` of `genprm.training`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster import runtime
from cluster.stages.outputs import canonical
from cluster.stages.progress import ProgressLine
from cluster.stages.provenance import versions
from cluster.stages.run import StageError
from cluster.training.folder import CriticFolder
from cluster.training.job import TrainJob
from cluster.training.progress import PLAIN_SECONDS, Board, format_line, last_line
from genprm.config.base import named_model
from genprm.config.root import Config
from genprm.data import storage
from genprm.data.bad_rows import BadRows
from genprm.data.rows import located_records, write_skipped
from genprm.errors import ConfigError, InputError
from genprm.models.manifest import DataSource, Manifest, tokenizer_sha256
from genprm.models.names import resolve_model
from genprm.models.tokenizers import load_tokenizer
from genprm.training import Kind, find_kind
from genprm.training.base import plan

if TYPE_CHECKING:
    from ray.train import Checkpoint, ScalingConfig
    from transformers import TrainerCallback

WORKER_RETRIES = 2


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished model. `tokens` over all epochs, `seconds` over all attempts."""

    path: str
    metrics: dict[str, float]
    seconds: float
    tokens: int
    rows: int
    dropped: int
    already_done: bool = False
    skipped: int = 0  # bad rows, which the file `skipped_in` holds
    skip_reasons: dict[str, int] = field(default_factory=dict)
    skipped_in: str | None = None


class Data(NamedTuple):
    """The rows to train on, records of the kind, and where they come from."""

    rows: list[Any]
    source: DataSource


def train(
    config: Config,
    data: str | Sequence[str],
    out: str,
    *,
    callbacks: Sequence[TrainerCallback] = (),
) -> TrainResult:
    """Train a model of `train.kind`, or resume its training, or report it as done.

    Args:
        data: files, folders, URIs or `hub:NAME` with rows of the kind.
        out: a local folder for the model.
        callbacks: run in the workers with the trainer's own; they are pickled.

    Raises:
        InputError: rows that the kind refuses, or that are all too long.
        ConfigError: `out` belongs to another config or input and stays as it is; a kind, model or
            setting that cannot work.
        StageError: the workers failed three times; the same command goes on from there.
    """
    kind = find_kind(config.train.kind)
    pack = config.prompt_pack() if kind.uses_pack else None
    base = config.train.init or config.models.policy
    model = resolve_model(base)
    if os.path.isdir(model):
        model = os.path.abspath(model)  # workers run in other folders; a link stays a link
    bad = BadRows(config.on_bad_row)
    rows, source = read_data([data] if isinstance(data, str) else data, kind, config, bad)
    decides = config.decides("train", uses_pack=kind.uses_pack)
    decides |= {"train.init": named_model(base)}
    folder = CriticFolder(out, decides | {"data": source.sha256})
    done = folder.finished()
    if done is not None:
        print(f"{folder.path} is already trained; nothing to do", file=sys.stderr)
        folder.drop_parts()  # a kill may have come between publishing and this
        return _result(folder, done, bad, already_done=True)
    plan(len(rows), config.train)
    tokenizer = load_tokenizer(model)
    dataset, dropped = kind.prepare(rows, tokenizer, config)
    if dropped:
        print(
            f"train: {dropped} of {len(rows)} rows are longer than train.max_length="
            f"{config.train.max_length} tokens and are left out",
            file=sys.stderr,
        )
    run = _Run(config, kind, model, base, folder, tuple(callbacks))
    with folder.claimed(), runtime.session(config.runtime):
        with _fit(run, dataset).as_directory() as trained:
            manifest = folder.publish(
                trained,
                kind=config.train.kind,
                method=config.train.method,
                base=base,
                tokenizer_sha256=tokenizer_sha256(tokenizer),
                pack=pack and pack.name,
                pack_fingerprint=pack and pack.fingerprint,
                data=source.model_copy(update={"rows": len(dataset), "dropped": dropped}),
                seed=config.train.seed,
                train=config.train.model_dump(mode="json"),
                versions=versions(),
            )
        storage.remove(f"{run.storage_path}/{run.name}")
    folder.drop_parts()
    return _result(folder, manifest, bad)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of Ray Train: under the same name and storage path it resumes."""

    config: Config
    kind: Kind[Any]
    model: str
    base: str
    folder: CriticFolder
    callbacks: tuple[TrainerCallback, ...]

    @property
    def name(self) -> str:
        return f"train-{self.folder.fingerprint}"

    @property
    def storage_path(self) -> str:
        return storage.absolute(
            self.config.runtime.storage_path or str(self.folder.parts / "checkpoints")
        )


def read_data(sources: Sequence[str], kind: Kind[Any], config: Config, bad: BadRows) -> Data:
    """The rows of all sources, with unique ids and checked by their kind; `bad` takes others."""
    located = list(located_records(sources, kind.record, bad))
    refused = {}
    for where, row, error in _refused(located, kind, config):
        bad.add(where, error, row.row())
        refused[row.id] = error
    rows = [row for _, row in located if row.id not in refused]
    if not rows:
        skipped = f" to train on; {bad.summary()}" if bad.skipped else ""
        raise InputError(f"{' '.join(sources)}: no rows{skipped}")
    digest = hashlib.sha256()
    for row in rows:
        digest.update(canonical(row.row()).encode() + b"\n")
    return Data(
        rows,
        DataSource(
            source=" ".join(sources),
            sha256=digest.hexdigest(),
            rows=len(rows),
            dropped=0,
            writers=sorted({getattr(row, "writer", None) for row in rows} - {None}),
            label_rule=_label_rule(sources, rows),
        ),
    )


def _refused(
    located: Sequence[tuple[str, Any]], kind: Kind[Any], config: Config
) -> Iterator[tuple[str, Any, InputError]]:
    """The rows that the kind refuses, each with its place and the reason; in halves, since a kind
    checks many rows at once much faster than one by one."""
    try:
        kind.check([row for _, row in located], config)
    except InputError as error:
        if len(located) == 1:
            ((where, row),) = located
            yield where, row, error.at(where)
        else:
            middle = len(located) // 2
            yield from _refused(located[:middle], kind, config)
            yield from _refused(located[middle:], kind, config)


def _label_rule(sources: Sequence[str], rows: Sequence[Any]) -> str | None:
    """The estimators that made the labels: those of the rows, else of the config that distilled
    them."""
    rules = {getattr(row, "estimator", None) for row in rows} - {None}
    if not rules:
        metas = [storage.read_json(f"{source.rstrip('/')}.meta.json") for source in sources]
        sections = [(meta or {}).get("config", {}).get("label", {}) for meta in metas]
        rules = {section.get("estimator") for section in sections} - {None}
    return ", ".join(sorted(map(str, rules))) or None


def _fit(run: _Run, dataset: Any) -> Checkpoint:
    """Train in Ray's workers; the checkpoint that comes back holds the model."""
    # Ray Train patches print, which makes dill (under datasets) spill bytecode into the log
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    # a checkpoint counts once the controller has polled its worker: by default every two seconds
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    import ray
    from ray.train import (
        CheckpointConfig,
        FailureConfig,
        LoggingConfig,
        RunConfig,
        TrainingFailedError,
    )
    from ray.train.torch import TorchTrainer

    from cluster.training.failures import TellFailures

    scaling, node_cpus = _scaling(run.config)
    board = ray.remote(num_cpus=0)(Board).remote()
    job = TrainJob(
        kind=run.kind,
        config=run.config.train,
        model=run.model,
        base=run.base if run.base.startswith("embedded:") else run.model,
        dataset=ray.put(dataset),
        node_cpus=node_cpus,
        board=board,
        callbacks=run.callbacks,
    )
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job},
        scaling_config=scaling,
        run_config=RunConfig(
            name=run.name,
            storage_path=run.storage_path,
            failure_config=FailureConfig(max_failures=WORKER_RETRIES),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            callbacks=[TellFailures(board)],
            # threads that spin while they wait slow training on a busy machine tenfold
            worker_runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}},
            logging_config=LoggingConfig("ERROR"),
        ),
    )
    try:
        with ProgressLine(
            lambda: format_line(*ray.get(board.read.remote())), plain_seconds=PLAIN_SECONDS
        ):
            result = trainer.fit()
    except TrainingFailedError as error:
        reason = last_line(getattr(error, "worker_failures", None) or {0: error})
        raise StageError(
            f"train failed, and {WORKER_RETRIES} new tries too: {reason[:500]}; the same command"
            " goes on from its last checkpoint"
        ) from error
    assert result.checkpoint is not None  # every run that ends well ends with one
    return result.checkpoint


def _work(settings: dict[str, Any]) -> None:
    """The training function of `TorchTrainer`; what it does loads trl, so only workers do that."""
    from cluster.training.worker import run_worker

    run_worker(settings["job"])


def _scaling(config: Config) -> tuple[ScalingConfig, int]:
    """Ray Train's workers and what each reserves; and the CPUs of the largest node.

    A single worker on CPU leaves one CPU for other processes. A cluster of our own never grows, so
    more workers than it has room for are a ConfigError instead of an endless wait.
    """
    import ray
    from ray.train import ScalingConfig

    workers = config.train.num_workers
    cpus = int(ray.cluster_resources().get("CPU", 0))
    gpus = runtime.gpu_count()
    use_gpu = gpus > 0 or config.runtime.gpus_per_engine > 0
    available, what = (gpus, "GPUs") if use_gpu else (cpus, "CPUs")
    if config.runtime.address is None and "RAY_ADDRESS" not in os.environ and workers > available:
        raise ConfigError(f"train.num_workers={workers}, but there are {available} {what}")
    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    each = 1 if use_gpu else max(1, min((cpus - 1) // workers, int(max(nodes))))
    scaling = ScalingConfig(
        num_workers=workers,
        use_gpu=use_gpu,
        resources_per_worker={"CPU": each, "GPU": 1} if use_gpu else {"CPU": each},
    )
    return scaling, int(max(nodes))


def _result(
    folder: CriticFolder, manifest: Manifest, bad: BadRows, already_done: bool = False
) -> TrainResult:
    """The result; rows that were skipped are written beside the folder."""
    return TrainResult(
        path=str(folder.path),
        metrics=manifest.metrics,
        seconds=manifest.seconds,
        tokens=manifest.tokens,
        rows=manifest.data.rows,
        dropped=manifest.data.dropped,
        already_done=already_done,
        skipped=len(bad.skipped),
        skip_reasons=bad.reasons(),
        skipped_in=write_skipped(folder.path, bad),
    )
