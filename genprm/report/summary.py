"""From an evaluation to its files: the content of metrics.json, and of the report.

Measures through `first_error` and `reliability` and knows nothing of how a report looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genprm.evaluation.first_error import first_error_metrics, votes_curve, votes_curve_obstacle
from genprm.evaluation.reliability import reliability
from genprm.records import EvaluationRow, Judgement
from genprm.report.plots import Bar, Calibration, Series
from genprm.report.report import ReportData
from genprm.report.samples import pick_samples
from genprm.report.tables import Table, TableRow, first_error_row
from genprm.util.stats import Estimate


def metrics_json(
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    *,
    seconds: float | None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What `metrics.json` of an evaluation holds.

    Everything of `first_error_metrics`; `votes_curve`, null with the reason in
    `votes_curve_obstacle` where the judgements do not carry every critique; `reliability` of the
    scores and `reliability_calibrated` of the calibrated ones; `critics` and `aggregate` as the
    judgements name them; `provenance` as given.

    Raises:
        InputError: rows and judgements do not pair up.
    """
    metrics = first_error_metrics(rows, judgements, seconds)
    obstacle = votes_curve_obstacle(judgements)
    critics = {judgement.critic.model_dump_json(): judgement.critic for judgement in judgements}
    return {
        **metrics,
        "votes_curve": None if obstacle else votes_curve(rows, judgements),
        "votes_curve_obstacle": obstacle,
        "reliability": reliability(rows, judgements),
        "reliability_calibrated": reliability(rows, judgements, calibrated=True),
        "critics": [critic.row() for critic in critics.values()],
        "aggregate": judgements[0].aggregate if judgements else None,
        "provenance": dict(provenance or {}),
    }


def evaluation_report(
    name: str,
    metrics: Mapping[str, Any],
    rows: Sequence[EvaluationRow],
    judgements: Sequence[Judgement],
    samples: int = 6,
) -> ReportData:
    """The report of one critic on one set; `metrics` as `metrics_json` made it."""
    f1, accuracy = Estimate.of(metrics, "f1"), Estimate.of(metrics, "accuracy")
    sources = metrics.get("sources") or {}
    curve = metrics["votes_curve"]
    reliable = {name: metrics["reliability"], "calibrated": metrics["reliability_calibrated"]}
    covered = Estimate.of(metrics, "coverage")
    seconds, tokens = metrics["seconds"], metrics["completion_tokens"]
    cost = [f"{seconds:,.1f} seconds"] if seconds is not None else []
    cost += [f"{tokens:,} completion tokens"] if tokens is not None else []
    obstacle = metrics["votes_curve_obstacle"]
    return ReportData(
        title=f"First-error evaluation of {name}",
        subtitle=f"{metrics['n']:,} solutions, {metrics['n_error']:,} of them with an error; "
        f"{metrics['critiques']:,} critiques over {metrics['steps_judged']:,} steps"
        + (f" ({', '.join(cost)})" if cost else ""),
        headline=(("First-error F1", f1), ("Accuracy", accuracy), ("Covered", covered)),
        tables=(Table("Finding the first error", tuple(evaluation_rows(name, metrics))),),
        f1_bars=tuple(
            f1_bar(source, name, m) for source, m in [*sources.items(), ("all", metrics)]
        ),
        votes_curves=(votes_series(name, curve),) if curve else (),
        reliability=tuple(
            calibration_of(label, figures) for label, figures in reliable.items() if figures["n"]
        ),
        samples=pick_samples(rows, judgements, samples) if rows else (),
        provenance={**_critics(metrics["critics"]), **metrics["provenance"]},
        notes=(f"No curve over votes. {obstacle}",) if obstacle else (),
    )


def evaluation_rows(name: str, metrics: Mapping[str, Any]) -> list[TableRow]:
    """The table of one critic on one set: a row for all, per source, and without suspect rows."""
    sources = metrics.get("sources") or {}
    blocks = [*sources.items(), ("all", metrics)]
    rows: list[TableRow] = []
    for source, figures in blocks:
        rows.append(first_error_row(name, figures, rows=source))
        kept = figures.get("without_suspect")
        if kept:
            rows.append(first_error_row(name, kept, rows=f"{source}, without suspect rows"))
    return rows


def f1_bar(group: str, name: str, metrics: Mapping[str, Any]) -> Bar:
    """A bar of the F1 in a metrics dict."""
    return Bar(group, name, Estimate.of(metrics, "f1"))


def votes_series(name: str, curve: Sequence[Mapping[str, Any]]) -> Series:
    """F1 against votes, from what `votes_curve` returns."""
    return Series(name, tuple((point["votes"], Estimate.of(point, "f1")) for point in curve))


def rollout_series(name: str, curve: Sequence[Mapping[str, Any]]) -> Series:
    """Exact first errors against rollouts, from what `rollout_curve` returns."""
    points = ((point["rollouts"], Estimate.of(point, "first_error_exact")) for point in curve)
    return Series(name, tuple(points))


def calibration_of(name: str, figures: Mapping[str, Any]) -> Calibration:
    """A reliability curve, from what `reliability` returns."""
    return Calibration(name, tuple(figures["bins"]), figures["ece"], figures["n"])


def label_row(name: str, quality: Mapping[str, Any], **more: Any) -> TableRow:
    """A row of the label table, from what `label_quality` returns; `more` after the name."""
    return {
        "labels": name,
        **more,
        "solutions": quality["n"],
        "exact": Estimate.of(quality, "first_error_exact"),
        "exact on errors": Estimate.of(quality, "exact_error"),
        "exact on correct": Estimate.of(quality, "exact_correct"),
        "steps": quality["n_steps"],
        "step accuracy": Estimate.of(quality, "step_accuracy"),
        "error precision": Estimate.of(quality, "error_precision"),
        "error recall": Estimate.of(quality, "error_recall"),
    }


def _critics(critics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The critics as the report names them."""
    told = (
        f"{c['model']}, version {c['version'] or 'unnamed'}, "
        f"pack {c['pack']} ({c['fingerprint']}), scores from {c['scoring'].replace('_', ' ')}"
        for c in critics
    )
    return {"critic": "; ".join(told)}
