"""From the figures of an evaluation to what tables, plots and the report show of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genprm.evaluation.bon import BestOfNMetrics
from genprm.evaluation.first_error import Accuracies, FirstErrorFigures, VotesPoint
from genprm.evaluation.labels_quality import LabelQuality, RolloutPoint
from genprm.evaluation.metrics import ChoiceMetrics, EvaluationMetrics
from genprm.records import EvaluationRow, Judgement
from genprm.report.plots import Bar, ReliabilityCurve, Series
from genprm.report.report import ReportData
from genprm.report.samples import pick_samples
from genprm.report.tables import Cell, Table, TableRow
from genprm.util.stats import Estimate

MEAN_OF_SUBSETS = "mean of the subsets' F1"


def evaluation_report(
    name: str,
    metrics: EvaluationMetrics,
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    samples: int = 6,
) -> ReportData:
    """The report of one critic on one set of rows."""
    overall, curve = metrics.first_error.overall, metrics.votes_curve
    mean = metrics.first_error.f1_mean
    seconds, tokens = metrics.first_error.seconds, overall.completion_tokens
    cost = [f"{seconds:,.1f} seconds"] if seconds is not None else []
    cost += [f"{tokens:,} completion tokens"] if tokens is not None else []
    reliability = {name: metrics.reliability, "calibrated": metrics.reliability_calibrated}
    critics = (
        f"{critic.model}, version {critic.version or 'unnamed'}, "
        f"pack {critic.pack} ({critic.fingerprint}), "
        f"scores from {critic.scoring.replace('_', ' ')}"
        for critic in metrics.critics
    )
    return ReportData(
        title=f"First-error evaluation of {name}",
        subtitle=f"{overall.n:,} solutions, {overall.n_error:,} of them with an error; "
        f"{overall.critiques:,} critiques over {overall.steps_judged:,} steps"
        + (f" ({', '.join(cost)})" if cost else ""),
        headline=(
            ("First-error F1", overall.f1),
            *([("Mean of the subsets' F1", mean)] if mean and mean.value is not None else []),
            ("Accuracy", overall.accuracy),
            ("Covered", overall.coverage),
        ),
        tables=(Table("Finding the first error", tuple(evaluation_rows(name, metrics))),),
        f1_bars=tuple(Bar(rows, name, figures.f1) for rows, figures in _by_rows(metrics)),
        votes_curves=(votes_series(name, curve),) if curve else (),
        reliability=tuple(
            ReliabilityCurve(label, figures) for label, figures in reliability.items() if figures.n
        ),
        samples=pick_samples(rows, judgements, samples) if rows else (),
        provenance={"critic": "; ".join(critics), **metrics.provenance},
        notes=tuple(_notes(metrics)),
    )


def _notes(metrics: EvaluationMetrics) -> Iterator[str]:
    if skipped := metrics.provenance.get("skipped_rows"):
        unused = "1 row" if skipped == 1 else f"{skipped} rows"
        yield f"Without {unused} of no use: see judgements.jsonl.skipped.jsonl."
    if metrics.votes_curve_obstacle:
        yield f"No curve over votes. {metrics.votes_curve_obstacle}"


def best_of_n_report(metrics: ChoiceMetrics) -> ReportData:
    """The report of the ways to choose among candidates."""
    choices = metrics.choices
    return ReportData(
        title="Best-of-n evaluation",
        subtitle=f"{choices.n:,} problems with {choices.candidates} candidates each",
        tables=(Table("Problems solved", tuple(best_of_n_rows(choices))),),
        provenance=metrics.provenance,
    )


def evaluation_rows(name: str, metrics: EvaluationMetrics) -> list[TableRow]:
    """The table of one critic on one set: a row for all, per source, and without suspect rows; last
    the mean of the sources' F1, which tables of ProcessBench quote."""
    table: list[TableRow] = []
    for rows, figures in _by_rows(metrics):
        table.append(first_error_row(name, figures, rows=rows))
        if figures.without_suspect:
            title = f"{rows}, without suspect rows"
            table.append(first_error_row(name, figures.without_suspect, rows=title))
    mean = metrics.first_error.f1_mean
    if mean is not None:
        n = metrics.first_error.overall.n
        table.append({"critic": name, "rows": MEAN_OF_SUBSETS, "n": n, "F1": mean})
    return table


def first_error_row(name: str, figures: Accuracies, **more: Cell) -> dict[str, Cell]:
    """The usual row of one critic on one set: F1, accuracies, coverage and cost with n; `more` are
    columns after the name."""
    row: dict[str, Cell] = {
        "critic": name,
        **more,
        "n": figures.n,
        "F1": figures.f1,
        "accuracy": figures.accuracy,
        "on errors": figures.accuracy_error,
        "on correct": figures.accuracy_correct,
    }
    if isinstance(figures, FirstErrorFigures):
        row["covered"] = Estimate(figures.coverage.value)
        row["critiques per step"] = figures.critiques_per_step
    return row


def best_of_n_rows(metrics: BestOfNMetrics) -> list[TableRow]:
    """The table of the ways to choose, with the share of problems that each solves."""
    n = metrics.candidates
    table: list[TableRow] = [
        {"choice": "one at random (pass@1)", "solved": metrics.pass_at_1},
        {"choice": f"majority of {n}", "solved": metrics.majority},
    ]
    for name, ways in (
        (f"best of {n}", metrics.best_of_n),
        ("weighted majority", metrics.weighted_majority),
    ):
        table += [{"choice": f"{name}, {how}", "solved": ways[how].accuracy} for how in ways]
    table.append({"choice": "any right (pass@n)", "solved": metrics.pass_at_n})
    return table


def label_row(name: str, quality: LabelQuality, **more: Cell) -> TableRow:
    """A row of the label table; `more` are columns after the name."""
    return {
        "labels": name,
        **more,
        "solutions": quality.n,
        "exact": quality.first_error_exact,
        "exact on errors": quality.exact_error,
        "exact on correct": quality.exact_correct,
        "steps": quality.n_steps,
        "step accuracy": quality.step_accuracy,
        "error precision": quality.error_precision,
        "error recall": quality.error_recall,
    }


def votes_series(name: str, curve: Sequence[VotesPoint]) -> Series:
    """F1 against votes."""
    return Series(name, tuple((point.votes, point.accuracies.f1) for point in curve))


def rollout_series(name: str, curve: Sequence[RolloutPoint]) -> Series:
    """Exact first errors against rollouts."""
    return Series(name, tuple((p.rollouts, p.quality.first_error_exact) for p in curve))


def _by_rows(metrics: EvaluationMetrics) -> list[tuple[str, FirstErrorFigures]]:
    """The figures of each source, then of all rows."""
    return [*metrics.first_error.sources.items(), ("all", metrics.first_error.overall)]
