"""What a quickstart found, as one table, report.json and report.html. Measures nothing itself
but how the labels compare with the exact oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.commands.evaluate import Evaluation, best_of_n_table, scored_candidates
from cluster.stages.provenance import provenance
from cluster.stages.run import Report
from genprm import tasks
from genprm.config.root import Config
from genprm.data import storage
from genprm.data.rows import read_records, read_rows
from genprm.evaluation.bon import best_of_n_metrics
from genprm.evaluation.first_error import votes_curve
from genprm.evaluation.labels_quality import (
    JudgedLabels,
    RolloutOutcomes,
    label_quality,
    rollout_curve,
)
from genprm.labeling.labels import labels_from_values
from genprm.records import BestOfNRow, EvaluationRow, Judgement, LabelledSolution
from genprm.report.report import ReportData, StageCost, write_plots, write_report
from genprm.report.samples import pick_samples
from genprm.report.summary import calibration_of, f1_bar, label_row, rollout_series, votes_series
from genprm.report.tables import Table, TableRow, format_table
from genprm.util.stats import Estimate, proportion

if TYPE_CHECKING:
    from cluster.training.driver import TrainResult

ROLLOUT_COUNTS = (4, 8, 16)
OWN_WORDS = {"shipped": "shipped critic", "quickstart": "quickstart critic"}


@dataclass(frozen=True, slots=True)
class Findings:
    """What the parts of a quickstart left behind."""

    folder: Path
    config: Config
    sizes: dict[str, int]
    solved: Report
    labelled: Report
    curve: Report | None
    distilled: Report
    trained: TrainResult
    evaluations: dict[str, Evaluation]
    best_of_n: Evaluation
    served: list[dict[str, Any]]
    seconds: dict[str, float]  # wall time of each part, over all runs


def write(findings: Findings) -> Path:
    """Print the table, write report.json and report.html, and return the page's path."""
    print("[9/9] put the figures together", flush=True)
    rows = read_records(str(findings.folder / "eval.jsonl"), EvaluationRow)
    judged = {
        name: read_records(evaluation.judging.out, Judgement)
        for name, evaluation in findings.evaluations.items()
    }
    by_task = {
        name: _by_task(rows, judgements, findings.evaluations[name].metrics)
        for name, judgements in judged.items()
    }
    labels = _label_figures(findings)
    candidates = scored_candidates(
        [str(findings.folder / "candidates.jsonl")],
        read_records(findings.best_of_n.judging.out, Judgement),
    )
    chosen = {
        task: best_of_n_metrics([r for r in candidates if _task(r) == task]) for task in tasks.TASKS
    }
    policy = _policy_figures(findings)
    made_by = provenance(findings.config.seed, "genprm quickstart")
    costs = _costs(findings)
    content = {
        "policy": policy,
        "first_error": by_task,
        "labels": labels,
        "best_of_n": chosen,
        "stages": {cost.stage: _cost_row(cost) for cost in costs},
        "served": findings.served,
        "sizes": findings.sizes,
        "seconds": round(sum(findings.seconds.values()), 1),
        "config": findings.config.model_dump(mode="json"),
        "provenance": made_by,
    }
    storage.write_json(str(findings.folder / "report.json"), content)
    table = _result_table(by_task, findings.config.score.votes)
    report = _page(findings, rows, judged, by_task, labels, chosen, table, costs, made_by)
    path = write_report(findings.folder / "report.html", report)
    write_plots(findings.folder / "plots", report)
    _print(table, labels, chosen, policy, costs, path)
    return path


def _task(row: BestOfNRow) -> str:
    return str((row.model_extra or {}).get("task"))


def _by_task(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Per task: the figures with all votes, and the curve down to a single critique."""
    found = {}
    for task in tasks.TASKS:
        ids = {row.id for row in rows if row.source == task}
        found[task] = {
            **metrics["sources"][task],
            "votes_curve": votes_curve(
                [row for row in rows if row.id in ids], [j for j in judgements if j.id in ids]
            ),
        }
    return found


def _policy_figures(findings: Findings) -> dict[str, Any]:
    """pass@1 of the policy on the evaluation problems of each task, and how many of its solutions
    state no answer: those are wrong here, and are not among the rows that critics judge."""
    outcomes: dict[str, list[bool]] = {task: [] for task in tasks.TASKS}
    unfinished = dict.fromkeys(tasks.TASKS, 0)
    for row in read_rows(findings.solved.out):
        if row["use"] == "eval":  # a row that failed has neither outcome nor answer
            outcomes[row["task"]].append(bool(row.get("outcome")))
            unfinished[row["task"]] += not row.get("final_answer")
    return {
        task: {"n": len(hits), "unfinished": unfinished[task]}
        | proportion(hits).fields("pass_at_1")
        for task, hits in outcomes.items()
    }


def _label_figures(findings: Findings) -> dict[str, Any]:
    """Writer alone, rollouts alone, and what passes the filter, against the exact oracle."""
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
    figures: dict[str, Any] = {}
    for task in tasks.TASKS:
        ids = [key for key, row in labelled.items() if row.task == task]
        figures[task] = {
            "writer_alone": _writer_figures([written[k] for k in ids if k in written], oracle),
            "rollouts_alone": label_quality([by_rollouts[key] for key in ids]),
            "agreed": label_quality([by_rollouts[key] for key in kept if key in set(ids)]),
            "curve": _curve([row for row in measured if row.task == task], oracle),
        }
    return figures


def _labelled(report: Report) -> list[LabelledSolution]:
    """What a label stage labelled; rows that failed are told in its cost, and are no solutions."""
    rows = (row for row in read_rows(report.out) if row["error"] is None)
    return [LabelledSolution.model_validate(row) for row in rows]


def _writer_figures(rows: Sequence[Mapping[str, Any]], oracle: Mapping[str, int]) -> dict[str, Any]:
    """Share of the writer's single verdicts that are true, up to the oracle's first error."""
    right = []
    for row in rows:
        truth = oracle[row["id"]]
        for critique in row["written"]:
            if critique["correct"] is not None and (truth < 0 or critique["step"] <= truth):
                right.append(critique["correct"] == (critique["step"] != truth))
    return {"n_verdicts": len(right), **proportion(right).fields("verdict_accuracy")}


def _curve(rows: Sequence[LabelledSolution], oracle: Mapping[str, int]) -> list[dict[str, Any]]:
    """How often labels from the first k rollouts name the oracle's first error.

    Over solutions with rollouts at every step: a prefix that did not fit the context has none.
    """
    outcomes = []
    for row in rows:
        steps = (row.model_extra or {})["outcomes"]
        if all(steps):
            outcomes.append(RolloutOutcomes(tuple(tuple(s) for s in steps), oracle[row.id]))
    most = min((len(step) for o in outcomes for step in o.outcomes[:-1]), default=0)
    counts = [k for k in ROLLOUT_COUNTS if k <= most]
    return rollout_curve(outcomes, labels_from_values, counts) if counts else []


def _costs(findings: Findings) -> list[StageCost]:
    stages = {
        "solve": findings.solved,
        "label": findings.labelled,
        "label for the curve": findings.curve,
        "distill": findings.distilled,
        **{f"eval {name}": found.judging for name, found in findings.evaluations.items()},
        "best of n": findings.best_of_n.judging,
    }
    costs = {
        name: StageCost(
            name,
            findings.seconds.get(name, 0.0),
            rows=report.rows_in,
            rollouts=report.completions if name.startswith("label") else None,
            prompt_tokens=report.prompt_tokens,
            completion_tokens=report.completion_tokens,
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


def _result_table(by_task: Mapping[str, Mapping[str, Any]], votes: int) -> list[TableRow]:
    """The table: both critics, both tasks, all votes and a single critique."""
    table: list[TableRow] = []
    for task in tasks.TASKS:
        for name, found in by_task.items():
            figures = found[task]
            single = next(p for p in figures["votes_curve"] if p["votes"] == 1)
            table.append(
                {
                    "task": task,
                    "critic": OWN_WORDS[name],
                    "n": figures["n"],
                    f"F1, {votes} votes": Estimate.of(figures, "f1"),
                    "F1, 1 critique": Estimate.of(single, "f1"),
                    "on errors": Estimate.of(figures, "accuracy_error"),
                    "on correct": Estimate.of(figures, "accuracy_correct"),
                    "covered": Estimate(figures["coverage"]),
                }
            )
    return table


def _label_table(labels: Mapping[str, Mapping[str, Any]]) -> list[TableRow]:
    rows: list[TableRow] = []
    for task, figures in labels.items():
        writer = figures["writer_alone"]
        rows.append(
            {
                "labels": f"{task}: writer alone, single verdicts",
                "steps": writer["n_verdicts"],
                "step accuracy": Estimate.of(writer, "verdict_accuracy"),
            }
        )
        rows.append(label_row(f"{task}: rollouts alone", figures["rollouts_alone"]))
        rows.append(label_row(f"{task}: both agree", figures["agreed"]))
    return rows


def _page(
    findings: Findings,
    rows: Sequence[EvaluationRow],
    judged: Mapping[str, Sequence[Judgement]],
    by_task: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, Mapping[str, Any]],
    chosen: Mapping[str, Mapping[str, Any]],
    table: Sequence[TableRow],
    costs: Sequence[StageCost],
    made_by: Mapping[str, Any],
) -> ReportData:
    ended = "Solutions that end with an answer; without one the oracle has no say on the last step."
    tables = [Table("Finding the first error in fresh solutions", tuple(table), ended)]
    for task, metrics in chosen.items():
        title = f"Best of {metrics['candidates']} on {task}, {metrics['n']} problems"
        votes = findings.sizes["best_of_n_votes"]
        note = f"Candidates scored by the quickstart critic with {votes} critique per step."
        tables.append(Table(title, tuple(best_of_n_table(metrics)), note))
    return ReportData(
        title="genprm quickstart",
        subtitle="From problems to a critic that finds first errors, on the embedded base model.",
        headline=tuple(
            (f"F1 on {task}, {OWN_WORDS[name]}", Estimate.of(found[task], "f1"))
            for name, found in by_task.items()
            for task in tasks.TASKS
        ),
        tables=tuple(tables),
        f1_bars=tuple(
            f1_bar(task, OWN_WORDS[name], found[task])
            for task in tasks.TASKS
            for name, found in by_task.items()
        ),
        votes_curves=tuple(
            votes_series(f"{OWN_WORDS[name]}, {task}", found[task]["votes_curve"])
            for name, found in by_task.items()
            for task in tasks.TASKS
        ),
        reliability=tuple(
            calibration_of(OWN_WORDS[name], evaluation.metrics["reliability"])
            for name, evaluation in findings.evaluations.items()
        ),
        rollout_curves=tuple(
            rollout_series(task, figures["curve"])
            for task, figures in labels.items()
            if figures["curve"]
        ),
        label_quality=tuple(_label_table(labels)),
        costs=tuple(costs),
        samples=pick_samples(rows, judged["quickstart"], 6),
        provenance=made_by,
    )


def _print(
    table: Sequence[TableRow],
    labels: Mapping[str, Mapping[str, Any]],
    chosen: Mapping[str, Mapping[str, Any]],
    policy: Mapping[str, Mapping[str, Any]],
    costs: Sequence[StageCost],
    path: Path,
) -> None:
    print("\nFirst errors in fresh solutions, in percent with 95 % intervals")
    print(format_table(table))
    print("\nLabels against the exact oracle")
    print(format_table(_label_table(labels)))
    print("\nProblems solved")
    print(format_table(_choice_table(chosen, policy)))
    print("\nCost")
    print(format_table([{"stage": cost.stage, **_cost_row(cost)} for cost in costs]))
    print(f"\nreport: {path}")


def _choice_table(
    chosen: Mapping[str, Mapping[str, Any]], policy: Mapping[str, Mapping[str, Any]]
) -> list[TableRow]:
    return [
        {
            "task": task,
            "n": metrics["n"],
            "pass@1": Estimate.of(metrics, "pass_at_1"),
            "majority": Estimate.of(metrics, "majority"),
            "best of n (min)": Estimate.of(metrics["best_of_n"]["min"], "accuracy"),
            "minus majority": Estimate.of(metrics["best_of_n"]["min"], "minus_majority"),
            "pass@n": Estimate.of(metrics, "pass_at_n"),
            "pass@1, evaluation problems": Estimate.of(policy[task], "pass_at_1"),
        }
        for task, metrics in chosen.items()
    ]
