"""`genprm label`: values and labels of every step, by rollouts of the policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cluster.stages.actor import RowWork
from cluster.stages.collect import Aside, Collector, all_rows
from cluster.stages.models import TYPICAL_STEPS, policy_source
from cluster.stages.outputs import Result
from cluster.stages.report import Report
from cluster.stages.run import Stage, run_stage
from genprm.config.label import LabelConfig
from genprm.config.root import Config
from genprm.data import sources
from genprm.data.bad_rows import STRICT, BadRows
from genprm.engines.base import Engine
from genprm.generation import Usage
from genprm.labeling.adaptive import ROUND_ROLLOUTS
from genprm.labeling.solution import label_solution
from genprm.records import LabelCost, Row, Solution
from genprm.report import audit


def label(config: Config, solutions: Sequence[str], out: str) -> Report:
    """Value and label every step of solutions by rollouts of the policy: one row each.

    With a second verifier, OUT.disagreements.jsonl has the answers that the two judge differently;
    with an audit, OUT.audit.html has rollouts for a person to read.
    """
    return run_stage(
        label_stage(config),
        config,
        lambda bad: solutions_to_label(config, solutions, bad),
        " ".join(solutions),
        out,
    )


def solutions_to_label(
    config: Config, solutions: Sequence[str], bad: BadRows = STRICT
) -> Iterator[Row]:
    """The solutions, without those that `bad` takes.

    InputError for one that was split in another way than rollouts will be, or, if it is counted as
    a rollout of its own prefixes, sampled at another temperature.
    """
    counted_together = config.label.reuse == "solution"
    return sources.solutions(
        solutions, config.splitter, config.label.temperature if counted_together else None, bad
    )


def label_stage(config: Config) -> Stage:
    """The stage that turns a solution into a labelled one."""
    return Stage(
        name="label",
        decides=config.decides("label"),
        model=policy_source,
        make=_make_labeller,
        sequences_per_row=rollouts_at_once(config.label),
        collector=LabelledRows,
        asides=tuple(_asides(config.label)),
    )


def rollouts_at_once(config: LabelConfig) -> int:
    """About how many rollouts one solution keeps busy: searches look at a prefix at a time."""
    if config.estimator == "adaptive":
        return ROUND_ROLLOUTS
    if config.estimator in ("first_zero", "binary_search"):
        return config.rollouts
    return config.rollouts * TYPICAL_STEPS


async def _make_labeller(config: Config, engine: Engine | None) -> RowWork:
    assert engine is not None
    pack = config.prompt_pack()

    async def work(row: Row) -> list[Row]:
        solution = Solution.model_validate(row)
        labelled = await label_solution(
            engine, pack, solution, config.label, config.seed, config.splitter
        )
        return [labelled.row()]

    return work


class LabelledRows(Collector):
    """Labelled solutions, without the rollout to read. Counts labels of steps, what these cost,
    and the answers that two verifiers judge differently."""

    def __init__(self, config: Config):
        super().__init__(config)
        self._labels, self._usage = 0, Usage()
        self._answers: Counter[str] = Counter(answers=0, disagreements=0)

    def rows(self, results: Iterable[Result]) -> Iterator[Row]:
        """See `Collector.rows`."""
        for row in super().rows(results):
            if row["error"] is None:  # else it is the row that came in, with a user's own columns
                del row[audit.COLUMN]
                self._labels += sum(label is not None for label in row["labels"])
                self._usage += LabelCost.model_validate(row["cost"]).usage
                self._answers["answers"] += row.get("verifier_checked", 0)
                self._answers["disagreements"] += len(row.get("verifier_disagreements", ()))
            yield row

    def summary(self) -> dict[str, Any]:
        """See `Collector.summary`."""
        counts = {
            "rollouts": self._usage.completions,
            "generated_tokens": self._usage.completion_tokens,
            "cached_tokens": self._usage.cached_tokens,
        }
        per_label = {name: n / self._labels for name, n in counts.items()} if self._labels else None
        summary: dict[str, Any] = {"labels": {"labels": self._labels, **counts}}
        summary["labels"]["per_label"] = per_label
        if self.config.label.second_verifier:
            summary["verifiers"] = dict(self._answers)
        return summary


def _asides(config: LabelConfig) -> Iterator[Aside]:
    if config.second_verifier:
        yield Aside("disagreements.jsonl", _disagreements)
    if config.audit:
        yield Aside(
            "audit.html",
            lambda results: audit.draw(_labelled(results), config.audit),
            audit.audit_page,
        )


def _disagreements(results: Iterable[Result]) -> Iterator[Row]:
    """Each answer of which the second verifier says the opposite."""
    for row in _labelled(results):
        for answer in row["verifier_disagreements"]:
            solution = {name: row[name] for name in ("id", "problem", "task")}
            second = not answer["correct"]
            yield {**solution, "reference": row["answer"], **answer, "second": second}


def _labelled(results: Iterable[Result]) -> Iterator[Row]:
    return (row for row in all_rows(results) if row["error"] is None)
