"""`genprm distill`: critique targets of labelled solutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cluster.stages.actor import Row, RowWork
from cluster.stages.outputs import Result
from cluster.stages.policy import TYPICAL_STEPS, engine_source, source_text
from cluster.stages.run import Aside, Report, Stage, all_rows, run_stage
from genprm.config.root import Config
from genprm.data import sources
from genprm.distill import balance
from genprm.distill.targets import distill_solution
from genprm.distill.writers import CritiqueWriter, RuleWriter, TeacherWriter
from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.models.names import CriticSource
from genprm.records import CritiqueTarget, LabelledSolution


def distill(config: Config, labels: Sequence[str], out: str) -> Report:
    """Make critique targets of labelled solutions: write, filter by agreement, balance.

    Beside OUT stands OUT.written.jsonl with what the writer wrote for each solution, and why it
    was dropped if it was.
    """
    by_rule = config.distill.writer == "rule"
    pack = config.prompt_pack()
    if not pack.trains:
        raise ConfigError(
            f"pack {pack.name}: its critiques have sections, tools or a verdict of the whole, "
            "which no writer here writes"
        )
    stage = Stage(
        name="distill",
        decides=config.decides("distill" if by_rule else "distill_by_teacher"),
        model=None if by_rule else _teacher,
        make=_make_distiller,
        sequences_per_row=config.distill.critiques_per_step * TYPICAL_STEPS,
        collect=_targets if config.distill.balance is None else _targets_balanced,
        asides=(Aside("written.jsonl", _written),),
    )
    return run_stage(
        stage,
        config,
        lambda: sources.labelled_solutions(labels, rule_writer=by_rule, splitter=config.splitter),
        source_text(labels),
        out,
    )


async def _make_distiller(config: Config, engine: Engine | None) -> RowWork:
    pack = config.prompt_pack()
    writer: CritiqueWriter = (
        RuleWriter(config.distill, config.seed)
        if engine is None
        else TeacherWriter(engine, pack, config.distill, config.seed)
    )

    async def work(row: Row) -> list[Row]:
        labelled = LabelledSolution.model_validate(row)
        return [(await distill_solution(labelled, writer, pack, config.distill)).row()]

    return work


def _targets(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    """The targets of all distilled solutions, and the count of what became of those."""
    fates: Counter[str] = Counter()
    for result in results:
        if result.error is not None:
            continue
        row = result.rows[0]
        fates[row["reason"].split(":")[0] if row["reason"] else "agreement"] += 1
        yield from row["targets"]
    details["solutions"] = dict(fates)


def _targets_balanced(
    results: Iterable[Result], config: Config, details: dict[str, Any]
) -> Iterator[Row]:
    targets = [CritiqueTarget.model_validate(r) for r in _targets(results, config, details)]
    ratio = config.distill.balance
    assert ratio is not None  # else `_targets` collects
    kept, counts = balance(targets, ratio)
    details["balance"] = {task: asdict(count) for task, count in counts.items()}
    return (target.row() for target in kept)


def _written(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    for row in all_rows(results, config, details):
        yield {name: value for name, value in row.items() if name != "targets"}


def _teacher(config: Config) -> CriticSource:
    if not config.distill.teacher.model:
        raise ConfigError("distill.teacher.model: writer teacher needs a model")
    return engine_source(config, config.distill.teacher.model)
