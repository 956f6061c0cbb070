"""`genprm label`: values and labels of every step, by rollouts of the policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cluster.stages.actor import Row, RowWork
from cluster.stages.outputs import Result
from cluster.stages.policy import TYPICAL_STEPS, policy_source, source_text
from cluster.stages.run import Aside, Report, Stage, all_rows, run_stage
from genprm.config.label import LabelConfig
from genprm.config.root import Config
from genprm.data import sources
from genprm.engines.base import Engine
from genprm.labeling.adaptive import ROUND_ROLLOUTS
from genprm.labeling.solution import label_solution
from genprm.records import Solution
from genprm.report import audit


def label(config: Config, solutions: Sequence[str], out: str) -> Report:
    """Value and label every step of solutions by rollouts of the policy: one row each.

    With a second verifier, OUT.disagreements.jsonl has the answers that the two see differently;
    with an audit, OUT.audit.html has rollouts for a person to read.
    """
    stage = Stage(
        name="label",
        decides=config.decides("label"),
        model=policy_source,
        make=_make_labeller,
        sequences_per_row=rollouts_at_once(config.label),
        collect=_labelled,
        asides=tuple(_asides_of_labels(config.label)),
    )
    return run_stage(
        stage, config, lambda: solutions_to_label(config, solutions), source_text(solutions), out
    )


def solutions_to_label(config: Config, solutions: Sequence[str]) -> Iterator[Row]:
    """The solutions, if rollouts can go on in their form and are counted with what was sampled
    alike."""
    counted_together = config.label.reuse != "none"
    return sources.solutions(
        solutions, config.splitter, config.label.temperature if counted_together else None
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


def _labelled(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    """Labelled solutions. Counted: labels (of steps), what they cost, what verifiers doubt."""
    counts: Counter[str] = Counter()
    doubts: Counter[str] = Counter(answers=0, disagreements=0)
    for row in all_rows(results, config, details):
        if row["error"] is None:  # else it is the row that came in, with columns of anybody
            del row[audit.COLUMN]
            counts["rollouts"] += row["cost"]["rollouts"]
            counts["generated_tokens"] += row["cost"]["completion_tokens"]
            counts["cached_tokens"] += row["cost"]["cached_tokens"]
            counts["labels"] += sum(label is not None for label in row["labels"])
            doubts["answers"] += row.get("verifier_checked", 0)
            doubts["disagreements"] += len(row.get("verifier_disagreements", ()))
        yield row
    labels = counts.pop("labels")
    per_label = {name: count / labels for name, count in counts.items()} if labels else None
    details["labels"] = {"labels": labels, **counts, "per_label": per_label}
    if config.label.second_verifier:
        details["verifiers"] = dict(doubts)


def _asides_of_labels(config: LabelConfig) -> Iterator[Aside]:
    if config.second_verifier:
        yield Aside("disagreements.jsonl", _disagreements)
    if config.audit:
        yield Aside("audit.html", _to_read, audit.audit_page)


def _disagreements(
    results: Iterable[Result], config: Config, details: dict[str, Any]
) -> Iterator[Row]:
    """Each answer of which the second verifier says the opposite."""
    for row in _without_error(results, config, details):
        for found in row["verifier_disagreements"]:
            named = {name: row[name] for name in ("id", "problem", "task")}
            yield {**named, "reference": row["answer"], **found, "second": not found["correct"]}


def _to_read(results: Iterable[Result], config: Config, details: dict[str, Any]) -> Iterator[Row]:
    return iter(audit.draw(_without_error(results, config, details), config.label.audit))


def _without_error(
    results: Iterable[Result], config: Config, details: dict[str, Any]
) -> Iterator[Row]:
    return (row for row in all_rows(results, config, details) if row["error"] is None)
