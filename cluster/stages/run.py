"""One way to run every stage: rows in, an actor pool that owns engines, rows out, resumable.

The input is staged as Parquet, cut into small blocks, mapped by actors that each own one engine
and keep several blocks in flight, and written block by block under Ray Data's checkpoint: a run
that was killed goes on with the rows that have no committed result. Exactly one result row
leaves per input row; what several rows become of it is decided when the output is finished.
Knows nothing of critiques, rollouts or prompts: a `Stage` brings that.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cluster import runtime
from cluster.stages import outputs
from cluster.stages.actor import ChooseModel, MakeWork, Row, RowActor, reason
from cluster.stages.outputs import Identity, Output, Result
from cluster.stages.progress import Board, Line, ProgressLine, format_line
from cluster.stages.provenance import provenance
from genprm.config.root import Config
from genprm.data import storage
from genprm.data.rows import write_jsonl
from genprm.errors import GenprmError

if TYPE_CHECKING:
    from ray.actor import ActorHandle

CHECKPOINT_ACTOR_BYTES = 256 * 2**20  # Ray's default of 1 GiB does not fit small machines

# (all results in input order, config, details that go into the meta record) -> rows of the output
Collect = Callable[[Iterable[Result], Config, dict[str, Any]], Iterable[Row]]


class StageError(GenprmError, RuntimeError):
    """A stage that could not finish; what it did is kept and resumed by the same command."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A file beside the output, OUT.name: rows as JSONL, or the page that they make."""

    name: str
    collect: Collect
    page: Callable[[list[Row]], str] | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What makes a stage.

    `make` must be importable, for it runs in the actor. `collect` turns all results, in input
    order, into the rows of the finished output. `sequences_per_row` tells about how many
    sequences one row keeps busy, so that enough rows are in flight and not many more.
    """

    name: str
    decides: dict[str, Any]  # what decides its rows, by config key
    make: MakeWork
    model: ChooseModel | None = None  # None: no engine
    check: Callable[[Config], None] | None = None  # runs before Ray starts, may load a tokenizer
    sequences_per_row: int = 1
    collect: Collect | None = None  # None: `all_rows`
    asides: tuple[Aside, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a stage did, as its meta record tells it. Token counts are sums over all rows.

    `sequence_ms` is the time from request to answer, summed over all sequences asked for: by the
    seconds it gives how many were in flight, waiting ones included. Above the engine's slots it
    was full; far below, it idled. `resent` is how often a request had to be sent to a server again.
    """

    stage: str
    out: str
    rows_in: int
    rows_out: int
    failed: int
    errors: dict[str, int]  # the most frequent reasons
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    completions: int
    requests: int
    seconds: float  # in which at least one row was worked on, over all runs of this output
    details: dict[str, Any]  # what the stage itself counts
    already_done: bool = False
    sequence_ms: int = 0
    resent: int = 0


def all_rows(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    """Every row of every result, each with an `error` column that is null where all went well."""
    for result in results:
        for row in result.rows:
            yield {**row, "error": result.error}


def run_stage(
    stage: Stage, config: Config, rows: Callable[[], Iterable[Row]], source: str, out: str
) -> Report:
    """Run a stage from its rows to its finished output, or on from where it was stopped.

    Args:
        rows: gives a fresh iterator over validated rows with unique `id`s.
        source: where the rows come from, for messages and the meta record.
        out: a `.jsonl` file or a folder name; see `cluster.stages.outputs`.

    Raises:
        InputError: from `rows`, before an engine starts.
        ConfigError: the output belongs to something else; a model or setting that cannot work.
        StageError: the engines died, or every row failed.
    """
    config = config.anchored()  # actors work in other folders
    if stage.model is not None:
        stage.model(config)
    output = Output(out, Identity(stage.name, stage.decides))
    meta, _ = output.existing()
    if meta is not None:
        output.check_input(meta, rows())
        output.discard()  # parts, if a kill came between the meta record and their removal
        return Report(**{**meta["report"], "out": output.out, "already_done": True})
    with output.locked():
        digest = output.stage(rows(), source)
        done = output.done_rows()
        if done < digest.rows:
            try:
                if stage.check is not None:
                    stage.check(config)
                with runtime.session(config.runtime):
                    _generate(stage, config, output, digest.rows, done)
            except GenprmError:
                if not output.done_rows():
                    output.discard()  # nothing in it is worth going on with
                raise
        report = _report(stage.name, output, digest)
        if report.failed == digest.rows:
            output.discard()
            reason = next(iter(report.errors))
            raise StageError(f"{stage.name}: all {digest.rows} rows failed, the first: {reason}")
        return _finish(stage, config, output, report)


def _finish(stage: Stage, config: Config, output: Output, report: Report) -> Report:
    for aside in stage.asides:
        beside = aside.collect(output.results(), config, {})
        path = f"{output.out}.{aside.name}"
        if aside.page is None:
            write_jsonl(path, beside)
        else:
            storage.write_text(path, aside.page(list(beside)))
    details: dict[str, Any] = {}
    collect = stage.collect or all_rows
    rows_out = output.write(collect(output.results(), config, details))
    if stage.model is not None and report.seconds:
        in_flight = report.sequence_ms / 1000 / report.seconds / config.runtime.engine_replicas
        details["per_engine"] = {
            "sequences_in_flight": round(in_flight, 1),
            "slots": config.engine.max_num_seqs,
        }
    report = replace(report, rows_out=rows_out, details=details)
    made_by = provenance(config.seed, f"genprm {stage.name}")
    output.seal(
        {"report": asdict(report), "provenance": made_by, "config": config.model_dump(mode="json")}
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
    checkpoint.checkpoint_actor_pool_max_size = 1  # comparing ids is no work
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
        details={},
        seconds=busy_seconds((start, start + length) for start, length in spans),
        **sums,
    )


def busy_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals: the time in which at least one row was worked on."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
