"""The figures of a quickstart as tables in the terminal, report.json and report.html.

Measures nothing itself, except how the labels compare with the exact oracle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.stages.evaluate import BestOfNEvaluation, FirstErrorEvaluation
from cluster.stages.provenance import provenance
from cluster.stages.report import Report
from genprm import tasks
from genprm.config.root import Config
from genprm.data import storage
from genprm.data.rows import read_rows
from genprm.evaluation.bon import BestOfNMetrics, best_of_n_metrics
from genprm.evaluation.first_error import FirstErrorFigures, VotesPoint, votes_curve
from genprm.evaluation.labels_quality import (
    JudgedLabels,
    LabelQuality,
    RolloutOutcomes,
    RolloutPoint,
    label_quality,
    rollout_curve,
)
from genprm.labeling.labels import labels_from_values
from genprm.records import BestOfNRow, LabelledSolution
from genprm.report.plots import Bar, ReliabilityCurve
from genprm.report.report import ReportData, StageCost, write_plots, write_report
from genprm.report.samples import pick_samples
from genprm.report.summary import best_of_n_rows, label_row, rollout_series, votes_series
from genprm.report.tables import Table, TableRow
from genprm.report.terminal import print_table
from genprm.util.stats import Estimate, Figures, proportion

if TYPE_CHECKING:
    from cluster.training.driver import TrainResult

ROLLOUT_COUNTS = (4, 8, 16)
TITLES = {"shipped": "shipped critic", "quickstart": "quickstart critic"}


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of the parts of a quickstart."""

    folder: Path
    config: Config
    sizes: dict[str, int]
    solved: Report
    labelled: Report
    curve: Report | None
    distilled: Report
    trained: TrainResult
    evaluations: dict[str, FirstErrorEvaluation]
    best_of_n: BestOfNEvaluation
    served: list[dict[str, Any]]
    seconds: dict[str, float]  # wall time of each part, over all runs


@dataclass(frozen=True)
class PolicyFigures(Figures):
    """The policy on `n` evaluation problems. Its `unfinished` solutions state no answer: they are
    wrong here, and are not among the rows that critics judge."""

    n: int
    unfinished: int
    pass_at_1: Estimate


@dataclass(frozen=True)
class CriticFigures(Figures):
    """A critic on one task: the figures with all votes, and the curve down to one critique."""

    first_error: FirstErrorFigures
    votes_curve: list[VotesPoint]

    def json(self) -> dict[str, Any]:
        content = super().json()
        return {**content.pop("first_error"), **content}


@dataclass(frozen=True)
class WriterFigures(Figures):
    """How many of the writer's verdicts are the oracle's."""

    n_verdicts: int
    verdict_accuracy: Estimate


@dataclass(frozen=True)
class LabelFigures(Figures):
    """Labels of one task against the exact oracle: of the writer alone, of rollouts alone, of what
    passes the agreement filter, and of the first k rollouts."""

    writer_alone: WriterFigures
    rollouts_alone: LabelQuality
    agreed: LabelQuality
    curve: list[RolloutPoint]


@dataclass(frozen=True)
class QuickstartFigures(Figures):
    """Everything measured, by task; `first_error` by critic and task."""

    policy: dict[str, PolicyFigures]
    first_error: dict[str, dict[str, CriticFigures]]
    labels: dict[str, LabelFigures]
    best_of_n: dict[str, BestOfNMetrics]


def write(findings: Findings) -> Path:
    """Print the table, write report.json and report.html, and return the page's path."""
    print("[9/9] put the figures together", flush=True)
    scored = findings.best_of_n.rows
    figures = QuickstartFigures(
        policy=_policy_figures(findings),
        first_error={name: _by_task(each) for name, each in findings.evaluations.items()},
        labels=_label_figures(findings),
        best_of_n={
            task: best_of_n_metrics([row for row in scored if _task(row) == task])
            for task in tasks.TASKS
        },
    )
    made_by = provenance(findings.config.seed, "genprm quickstart")
    costs = _costs(findings)
    content = {
        **figures.json(),
        "stages": {cost.stage: _cost_row(cost) for cost in costs},
        "served": findings.served,
        "sizes": findings.sizes,
        "seconds": round(sum(findings.seconds.values()), 1),
        "config": findings.config.model_dump(mode="json"),
        "provenance": made_by,
    }
    storage.write_json(str(findings.folder / "report.json"), content)
    table = _result_table(figures.first_error, findings.config.score.votes)
    report = _page(findings, figures, table, costs, made_by)
    path = write_report(findings.folder / "report.html", report)
    write_plots(findings.folder / "plots", report)
    _print(table, figures, costs, path)
    return path


def _task(row: BestOfNRow) -> str:
    return str(row.task)


def _by_task(evaluation: FirstErrorEvaluation) -> dict[str, CriticFigures]:
    figures = {}
    for task in tasks.TASKS:
        rows = [row for row in evaluation.rows if row.source == task]
        ids = {row.id for row in rows}
        curve = votes_curve(rows, [j for j in evaluation.judgements if j.id in ids])
        figures[task] = CriticFigures(evaluation.metrics.first_error.sources[task], curve)
    return figures


def _policy_figures(findings: Findings) -> dict[str, PolicyFigures]:
    outcomes: dict[str, list[bool]] = {task: [] for task in tasks.TASKS}
    unfinished = dict.fromkeys(tasks.TASKS, 0)
    for row in read_rows(findings.solved.out):
        if row["use"] == "eval":  # a row that failed has neither outcome nor answer
            outcomes[row["task"]].append(bool(row.get("outcome")))
            unfinished[row["task"]] += not row.get("final_answer")
    return {
        task: PolicyFigures(len(hits), unfinished[task], proportion(hits))
        for task, hits in outcomes.items()
    }


def _label_figures(findings: Findings) -> dict[str, LabelFigures]:
    labelled = {r.id: r for r in _labelled(findings.labelled)}
    oracle = {
        key: tasks.get(str(row.task)).first_error(row.problem, row.steps)
        for key, row in labelled.items()
    }
    rows = read_rows(f"{findings.distilled.out}.written.jsonl")
    written = {row["id"]: row for row in rows if row["error"] is None}
    kept = [key for key, row in written.items() if row["reason"] is None]
    measured: list[LabelledSolution] = []
    if findings.curve is not None:
        measured = _labelled(findings.curve)
    elif findings.config.label.estimator.startswith("flat"):  # as many rollouts of every prefix
        measured = list(labelled.values())
    by_rollouts = {
        key: JudgedLabels(tuple(row.labels), row.first_error, oracle[key])
        for key, row in labelled.items()
    }
    figures = {}
    for task in tasks.TASKS:
        ids = [key for key, row in labelled.items() if row.task == task]
        figures[task] = LabelFigures(
            writer_alone=_writer_figures([written[k] for k in ids if k in written], oracle),
            rollouts_alone=label_quality([by_rollouts[key] for key in ids]),
            agreed=label_quality([by_rollouts[key] for key in kept if key in set(ids)]),
            curve=label_curve([row for row in measured if row.task == task], oracle),
        )
    return figures


def _labelled(report: Report) -> list[LabelledSolution]:
    """The solutions that were labelled; rows that failed are counted in the stage's cost."""
    rows = (row for row in read_rows(report.out) if row["error"] is None)
    return [LabelledSolution.model_validate(row) for row in rows]


def _writer_figures(rows: Sequence[Mapping[str, Any]], oracle: Mapping[str, int]) -> WriterFigures:
    """The writer's single verdicts on steps up to the oracle's first error."""
    right = []
    for row in rows:
        truth = oracle[row["id"]]
        for critique in row["written"]:
            if critique["correct"] is not None and (truth < 0 or critique["step"] <= truth):
                right.append(critique["correct"] == (critique["step"] != truth))
    return WriterFigures(len(right), proportion(right))


def label_curve(rows: Sequence[LabelledSolution], oracle: Mapping[str, int]) -> list[RolloutPoint]:
    """How often labels from the first k rollouts name the oracle's first error.

    Over solutions with rollouts at every step: a prefix that did not fit the context has none.
    """
    outcomes = []
    for row in rows:
        if row.outcomes and all(row.outcomes):
            steps = tuple(tuple(step) for step in row.outcomes)
            outcomes.append(RolloutOutcomes(steps, oracle[row.id]))
    fewest = min((len(step) for o in outcomes for step in o.outcomes[:-1]), default=0)
    counts = [k for k in ROLLOUT_COUNTS if k <= fewest]
    return rollout_curve(outcomes, labels_from_values, counts) if counts else []


def _costs(findings: Findings) -> list[StageCost]:
    stages = {
        "solve": findings.solved,
        "label": findings.labelled,
        "label for the curve": findings.curve,
        "distill": findings.distilled,
        **{f"eval {name}": each.judging for name, each in findings.evaluations.items()},
        "best of n": findings.best_of_n.judging,
    }
    costs = {
        name: StageCost(
            name,
            findings.seconds.get(name, 0.0),
            rows=report.rows_in,
            rollouts=report.usage.completions if name.startswith("label") else None,
            usage=report.usage,
        )
        for name, report in stages.items()
        if report is not None
    }
    trained = findings.trained
    costs["train"] = StageCost(
        "train", findings.seconds["train"], rows=trained.rows, trained_tokens=trained.tokens
    )
    if "serve" in findings.seconds:
        costs["serve"] = StageCost("serve", findings.seconds["serve"], rows=len(findings.served))
    order = list(findings.seconds)
    return sorted(costs.values(), key=lambda cost: order.index(cost.stage))


def _cost_row(cost: StageCost) -> dict[str, Any]:
    return {
        "seconds": round(cost.seconds, 1),
        "rows": cost.rows,
        "rollouts": cost.rollouts,
        "prompt_tokens": cost.prompt_tokens,
        "completion_tokens": cost.completion_tokens,
        "trained_tokens": cost.trained_tokens,
    }


def _result_table(
    by_critic: Mapping[str, Mapping[str, CriticFigures]], votes: int
) -> list[TableRow]:
    """Both critics on both tasks, with all votes and with a single critique."""
    table: list[TableRow] = []
    for task in tasks.TASKS:
        for name, by_task in by_critic.items():
            figures = by_task[task].first_error
            single = next(p for p in by_task[task].votes_curve if p.votes == 1)
            table.append(
                {
                    "task": task,
                    "critic": TITLES[name],
                    "n": figures.n,
                    f"F1, {votes} votes": figures.f1,
                    "F1, 1 critique": single.accuracies.f1,
                    "on errors": figures.accuracy_error,
                    "on correct": figures.accuracy_correct,
                    "covered": Estimate(figures.coverage.value),
                }
            )
    return table


def _label_table(labels: Mapping[str, LabelFigures]) -> list[TableRow]:
    rows: list[TableRow] = []
    for task, figures in labels.items():
        rows.append(
            {
                "labels": f"{task}: writer alone, single verdicts",
                "steps": figures.writer_alone.n_verdicts,
                "step accuracy": figures.writer_alone.verdict_accuracy,
            }
        )
        rows.append(label_row(f"{task}: rollouts alone", figures.rollouts_alone))
        rows.append(label_row(f"{task}: both agree", figures.agreed))
    return rows


def _page(
    findings: Findings,
    figures: QuickstartFigures,
    table: Sequence[TableRow],
    costs: Sequence[StageCost],
    made_by: Mapping[str, Any],
) -> ReportData:
    note = "Solutions that end with an answer; without one the oracle cannot judge the last step."
    tables = [Table("Finding the first error in fresh solutions", tuple(table), note)]
    for task, choices in figures.best_of_n.items():
        title = f"Best of {choices.candidates} on {task}, {choices.n} problems"
        votes = findings.sizes["best_of_n_votes"]
        note = f"Candidates scored by the quickstart critic with {votes} critique per step."
        tables.append(Table(title, tuple(best_of_n_rows(choices)), note))
    by_critic = [
        (TITLES[name], task, by_task[task])
        for name, by_task in figures.first_error.items()
        for task in tasks.TASKS
    ]
    by_task = sorted(by_critic, key=lambda entry: list(tasks.TASKS).index(entry[1]))
    judged = findings.evaluations["quickstart"]
    return ReportData(
        title="genprm quickstart",
        subtitle="From problems to a critic that finds first errors, on the embedded base model.",
        headline=tuple((f"F1 on {task}, {name}", f.first_error.f1) for name, task, f in by_critic),
        tables=tuple(tables),
        f1_bars=tuple(Bar(task, name, f.first_error.f1) for name, task, f in by_task),
        votes_curves=tuple(
            votes_series(f"{name}, {task}", f.votes_curve) for name, task, f in by_critic
        ),
        reliability=tuple(
            ReliabilityCurve(TITLES[name], evaluation.metrics.reliability)
            for name, evaluation in findings.evaluations.items()
        ),
        rollout_curves=tuple(
            rollout_series(task, labels.curve)
            for task, labels in figures.labels.items()
            if labels.curve
        ),
        label_quality=tuple(_label_table(figures.labels)),
        costs=tuple(costs),
        samples=pick_samples(judged.rows, judged.judgements, 6),
        provenance=made_by,
    )


def _print(
    table: Sequence[TableRow], figures: QuickstartFigures, costs: Sequence[StageCost], path: Path
) -> None:
    print("\nFirst errors in fresh solutions, in percent with 95 % intervals")
    print_table(table)
    print("\nLabels against the exact oracle")
    print_table(_label_table(figures.labels))
    print("\nProblems solved")
    print_table(_choice_table(figures))
    print("\nCost")
    print_table([{"stage": cost.stage, **_cost_row(cost)} for cost in costs])
    print(f"\nreport: {path}")


def _choice_table(figures: QuickstartFigures) -> list[TableRow]:
    return [
        {
            "task": task,
            "n": choices.n,
            "pass@1": choices.pass_at_1,
            "majority": choices.majority,
            "best of n (min)": choices.best_of_n["min"].accuracy,
            "minus majority": choices.best_of_n["min"].minus_majority,
            "pass@n": choices.pass_at_n,
            "pass@1, evaluation problems": figures.policy[task].pass_at_1,
        }
        for task, choices in figures.best_of_n.items()
    ]
