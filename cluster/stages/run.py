"""One way to run every stage: rows in, an actor pool that owns engines, rows out, resumable.

The input is staged as Parquet, cut into small blocks, mapped by actors that each own one engine
and keep several blocks in flight, and written block by block under Ray Data's checkpoint: a run
that was killed goes on with the rows that have no committed result. Exactly one result row
leaves per input row; the collector of the stage makes the rows of the output of them at the end.
Knows no critiques, rollouts or prompts: these are a `Stage`'s matter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cluster import runtime
from cluster.stages import outputs
from cluster.stages.actor import ChooseModel, MakeWork, RowActor, reason
from cluster.stages.collect import Aside, Collector
from cluster.stages.outputs import Identity, Output
from cluster.stages.progress import Board, Line, ProgressLine, format_line
from cluster.stages.provenance import provenance
from cluster.stages.report import Report, add_skipped
from genprm.config.root import Config
from genprm.data import storage
from genprm.data.bad_rows import BadRows
from genprm.data.rows import write_jsonl, write_skipped
from genprm.errors import GenprmError
from genprm.generation import Usage
from genprm.records import Row

if TYPE_CHECKING:
    from ray.actor import ActorHandle

CHECKPOINT_ACTOR_BYTES = 256 * 2**20  # Ray's default of 1 GiB does not fit small machines


class StageError(GenprmError, RuntimeError):
    """A stage that could not finish; its results are kept, and the same command goes on."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What makes a stage.

    `make` must be importable, for it runs in the actor. `collector` makes the rows of the finished
    output, `asides` the files next to it. `sequences_per_row` is about how many sequences one row
    keeps busy, so that enough rows are in flight and not many more.
    """

    name: str
    decides: dict[str, Any]  # what decides its rows, by config key
    make: MakeWork
    model: ChooseModel | None = None  # None: no engine
    check: Callable[[Config], None] | None = None  # runs before Ray starts, may load a tokenizer
    sequences_per_row: int = 1
    collector: type[Collector] = Collector
    asides: tuple[Aside, ...] = ()


def run_stage(
    stage: Stage,
    config: Config,
    rows: Callable[[BadRows], Iterable[Row]],
    source: str,
    out: str,
    bad: BadRows | None = None,
) -> Report:
    """Run a stage from its rows to its finished output, or on from where it was stopped.

    Args:
        rows: gives an iterator over validated rows with unique `id`s; others go to the bad rows.
        source: where the rows come from, for messages and the meta record.
        out: a `.jsonl` file or a folder name; see `cluster.stages.outputs`.
        bad: the bad rows, if `rows` were read before; None: those that `rows` finds.

    Raises:
        InputError: from `rows`, before an engine starts; no row at all.
        ConfigError: the output is another run's; a model or setting that cannot work.
        StageError: the engines died, or every row failed.
    """
    config = config.anchored()  # actors work in other folders
    if stage.model is not None:
        stage.model(config)
    output = Output(out, Identity(stage.name, stage.decides))
    meta, _ = output.existing()
    bad = BadRows(config.on_bad_row) if bad is None else bad
    if meta is not None:
        output.check_input(meta, rows(bad), bad)
        output.discard()  # parts, if a kill came between the meta record and their removal
        return replace(Report.of_record(meta["report"]), out=output.out, already_done=True)
    with output.locked():
        digest = output.stage(rows(bad), source, bad)
        done = output.done_rows()
        if done < digest.rows:
            try:
                if stage.check is not None:
                    stage.check(config)
                with runtime.session(config.runtime):
                    _generate(stage, config, output, digest.rows, done)
            except GenprmError:
                if not output.done_rows():
                    output.discard()  # there is no result to go on from
                raise
        report = _report(stage.name, output, digest)
        if report.failed == digest.rows:
            output.discard()
            reason = next(iter(report.errors))
            path = write_skipped(output.out, bad)
            skipped = f"; {bad.summary()}; all are in {path}" if path else ""
            raise StageError(
                f"{stage.name}: all {digest.rows} rows failed, the first: {reason}{skipped}"
            )
        return _finish(stage, config, output, add_skipped(report, bad))


def _finish(stage: Stage, config: Config, output: Output, report: Report) -> Report:
    for aside in stage.asides:
        rows = aside.rows(output.results())
        path = f"{output.out}.{aside.name}"
        if aside.page is None:
            write_jsonl(path, rows)
        else:
            storage.write_text(path, aside.page(list(rows)))
    collector = stage.collector(config)
    rows_out = output.write(collector.rows(output.results()))
    details = collector.summary()
    if stage.model is not None and report.seconds:
        in_flight = report.sequence_ms / 1000 / report.seconds / config.runtime.engine_replicas
        details["per_engine"] = {
            "sequences_in_flight": round(in_flight, 1),
            "slots": config.engine.max_num_seqs,
        }
    report = replace(report, rows_out=rows_out, details=details)
    made_by = provenance(config.seed, f"genprm {stage.name}")
    output.seal(
        {
            "report": report.record(),
            "provenance": made_by,
            "config": config.model_dump(mode="json"),
        }
    )
    return report


def _generate(stage: Stage, config: Config, output: Output, total: int, done: int) -> None:
    """Work on the rows that have no committed result yet, with progress on stderr."""
    import ray

    board = ray.remote(num_cpus=0)(Board).remote()

    def line() -> Line:
        return format_line(stage.name, ray.get(board.snapshot.remote()), done, total)

    try:
        with ProgressLine(line):
            _execute(stage, config, output, board)
    except Exception as error:  # Ray wraps what an actor raised in types of its own
        fatal = ray.get(board.fatal_error.remote())
        if fatal is not None:
            raise fatal from error
        raise StageError(f"{stage.name} failed: {reason(error)}") from error
    finally:
        ray.kill(board)
    missing = total - output.done_rows()
    if missing:
        raise StageError(f"{stage.name}: {missing} of {total} rows have no result, run it again")


def _execute(stage: Stage, config: Config, output: Output, board: ActorHandle) -> None:
    import ray
    from ray.data.checkpoint import CheckpointConfig

    checkpoint = CheckpointConfig("id", output.checkpoint, delete_checkpoint_on_success=False)
    checkpoint.checkpoint_actor_memory_bytes = CHECKPOINT_ACTOR_BYTES
    checkpoint.checkpoint_actor_pool_max_size = 1  # comparing ids takes no time
    context = ray.data.DataContext.get_current()
    context.checkpoint_config = checkpoint
    v2 = context.use_datasource_v2
    context.use_datasource_v2 = False  # it would start 32 actors to read the footer of a file
    in_flight = blocks_in_flight(config, stage.sequences_per_row)
    replicas = config.runtime.engine_replicas if stage.model else 1
    options = runtime.engine_options(config, replicas) if stage.model else {"num_cpus": 0}
    try:
        (
            ray.data.read_parquet(output.input)
            .repartition(target_num_rows_per_block=config.runtime.rows_per_block)
            .map_batches(
                RowActor,
                fn_constructor_args=(stage.make, stage.model, config, board),
                batch_size=None,  # a batch is a block
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(
                    size=replicas,
                    max_tasks_in_flight_per_actor=in_flight + 1,
                    max_concurrent_calls_per_actor=in_flight,
                ),
                **options,
            )
            .write_parquet(output.rows)
        )
    finally:
        context.checkpoint_config, context.use_datasource_v2 = None, v2


def blocks_in_flight(config: Config, sequences_per_row: int) -> int:
    """How many blocks an actor works on at once: twice what fills the engine, 3 to 32."""
    wanted = 2 * (config.engine.max_num_seqs or 256)
    per_block = config.runtime.rows_per_block * max(1, sequences_per_row)
    return min(32, max(3, math.ceil(wanted / per_block)))


def _report(name: str, output: Output, digest: outputs.InputDigest) -> Report:
    costs = outputs.cost_table(output)
    reasons = Counter(e for e in costs["error"].to_pylist() if e is not None)
    sums = {column: sum(costs[column].to_pylist()) for column in outputs.COST_COLUMNS}
    spans = zip(costs["started"].to_pylist(), costs["seconds"].to_pylist(), strict=True)
    return Report(
        stage=name,
        out=output.out,
        rows_in=digest.rows,
        rows_out=0,
        failed=reasons.total(),
        errors=dict(reasons.most_common(5)),
        usage=Usage(**{column: sums.pop(column) for column in outputs.USAGE_COLUMNS}),
        seconds=busy_seconds((start, start + length) for start, length in spans),
        details={},
        **sums,
    )


def busy_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals: the time in which at least one row was worked on."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
