"""`genprm distill`: critique targets of labelled solutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cluster.stages.actor import RowWork
from cluster.stages.collect import Aside, Collector, all_rows
from cluster.stages.models import TYPICAL_STEPS, engine_source
from cluster.stages.outputs import Result
from cluster.stages.report import Report
from cluster.stages.run import Stage, run_stage
from genprm.config.root import Config
from genprm.data import sources
from genprm.distill import ClassCounts, balance
from genprm.distill.targets import distill_solution
from genprm.distill.writers import CritiqueWriter, RuleWriter, TeacherWriter
from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.models.names import CriticSource
from genprm.records import CritiqueTarget, LabelledSolution, Row


def distill(config: Config, labels: Sequence[str], out: str) -> Report:
    """Make critique targets of labelled solutions: write, filter by agreement, balance.

    OUT.written.jsonl has what the writer wrote for each solution, and why it was dropped if it was.
    """
    pack = config.prompt_pack()
    if not pack.trains:
        raise ConfigError(
            f"pack {pack.name}: its critiques have sections, tools or a verdict of the whole, "
            "which no writer here writes"
        )
    by_rule = config.distill.writer == "rule"
    return run_stage(
        distill_stage(config),
        config,
        lambda bad: sources.labelled_solutions(labels, by_rule, config.splitter, bad),
        " ".join(labels),
        out,
    )


def distill_stage(config: Config) -> Stage:
    """The stage that turns a labelled solution into critique targets."""
    by_rule = config.distill.writer == "rule"
    return Stage(
        name="distill",
        decides=config.decides("distill" if by_rule else "distill_by_teacher"),
        model=None if by_rule else _teacher_source,
        make=_make_distiller,
        sequences_per_row=config.distill.critiques_per_step * TYPICAL_STEPS,
        collector=Targets if config.distill.balance is None else BalancedTargets,
        asides=(Aside("written.jsonl", _written),),
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


class Targets(Collector):
    """The targets of all distilled solutions. Counts the solutions by what became of them."""

    def __init__(self, config: Config):
        super().__init__(config)
        self._solutions: Counter[str] = Counter()

    def rows(self, results: Iterable[Result]) -> Iterator[Row]:
        """See `Collector.rows`."""
        for row in super().rows(results):
            if row["error"] is None:
                reason = row["reason"] or "agreement"
                self._solutions[reason.split(":")[0]] += 1
                yield from row["targets"]

    def summary(self) -> dict[str, Any]:
        """See `Collector.summary`."""
        return {"solutions": dict(self._solutions)}


class BalancedTargets(Targets):
    """The targets that balancing keeps, all of them held in memory. Counts them by class, too."""

    def __init__(self, config: Config):
        super().__init__(config)
        self._classes: dict[str, ClassCounts] = {}

    def rows(self, results: Iterable[Result]) -> Iterator[Row]:
        """See `Collector.rows`."""
        targets = [CritiqueTarget.model_validate(row) for row in super().rows(results)]
        ratio = self.config.distill.balance
        assert ratio is not None  # else `Targets` collects
        kept, self._classes = balance(targets, ratio)
        yield from (target.row() for target in kept)

    def summary(self) -> dict[str, Any]:
        """See `Collector.summary`."""
        classes = {task: asdict(counts) for task, counts in self._classes.items()}
        return super().summary() | {"balance": classes}


def _written(results: Iterable[Result]) -> Iterator[Row]:
    """Distilled solutions without their targets: what the writer wrote."""
    for row in all_rows(results):
        yield {name: value for name, value in row.items() if name != "targets"}


def _teacher_source(config: Config) -> CriticSource:
    if not config.distill.teacher.model:
        raise ConfigError("distill.teacher.model: writer teacher needs a model")
    return engine_source(config, config.distill.teacher.model)
