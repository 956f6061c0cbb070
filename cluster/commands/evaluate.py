"""`genprm eval`: judge rows whose truth is known, and write what that says about the critic.

    DIR/judgements.jsonl    one judgement per row (per candidate for best-of-n rows), resumable
    DIR/metrics.json        the figures, with intervals
    DIR/report.html         the same to look at, with plots/ beside it

The judging is the stage `score` runs; the figures are `genprm.evaluation`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cluster.stages.actor import Row
from cluster.stages.provenance import provenance
from cluster.stages.run import Report, run_stage
from cluster.stages.score import scoring_stage
from genprm.config.root import Config
from genprm.data import sources, storage
from genprm.data.rows import read_records
from genprm.errors import ConfigError, InputError
from genprm.evaluation.bon import best_of_n_metrics
from genprm.records import BestOfNRow, EvaluationRow, Judgement
from genprm.report.report import ReportData, write_plots, write_report
from genprm.report.summary import evaluation_report, evaluation_rows, metrics_json
from genprm.report.tables import Table, TableRow
from genprm.util.stats import Estimate

CANDIDATE = "{id}#{number}"  # the id of one candidate of a best-of-n row


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found: the content of metrics.json, a table, and what judging cost."""

    metrics: dict[str, Any]
    table: list[TableRow]
    judging: Report


def evaluate(config: Config, data: Sequence[str], out: str) -> Evaluation:
    """Judge `data`, evaluation rows or best-of-n rows, and write everything into folder `out`.

    Critiques are kept, and no step is left out, whatever the config says: the curve over votes
    and the report need them.

    Raises:
        InputError: rows of neither kind, or of both.
        ConfigError: the folder belongs to something else, or is no local one.
        StageError: see `run_stage`.
    """
    folder = local_folder(out, "metrics.json", "report.html")
    config = config.with_pack_sampling()
    kept = config.score.model_copy(update={"return_critiques": True, "stop_at_first_error": False})
    config = config.model_copy(update={"score": kept})
    best_of_n = _is_best_of_n(data)
    read = _candidates if best_of_n else _evaluation_rows
    judging = run_stage(
        scoring_stage(config, "eval"),
        config,
        lambda: read(data, config.splitter),
        " ".join(data),
        f"{folder}/judgements.jsonl",
    )
    judgements = read_records(judging.out, Judgement)
    made_by = provenance(config.seed, "genprm eval")
    if best_of_n:
        metrics, table, report = _best_of_n(data, judgements, judging, made_by)
    else:
        rows = [EvaluationRow.model_validate(r) for r in _evaluation_rows(data, config.splitter)]
        metrics = metrics_json(rows, judgements, seconds=judging.seconds, provenance=made_by)
        name = config.models.critic
        table = evaluation_rows(name, metrics)
        report = evaluation_report(name, metrics, rows, judgements)
    storage.write_json(f"{folder}/metrics.json", metrics)
    write_report(folder / "report.html", report)
    write_plots(folder / "plots", report)
    return Evaluation(metrics, table, judging)


def local_folder(out: str, *written: str) -> Path:
    """The output folder, if it is free or what stands in it (`written`) is of such a command."""
    if storage.is_uri(out):
        raise ConfigError(f"--out {out}: a local or mounted folder is needed")
    folder = Path(storage.absolute(out))
    if folder.is_file():
        raise ConfigError(f"{folder} is a file: choose another --out, nothing was overwritten")
    ours = any((folder / f"judgements.jsonl.{end}").exists() for end in ("meta.json", "parts"))
    for name in written:
        if (folder / name).exists() and not ours:
            raise ConfigError(
                f"{folder / name} exists and is not of this command: choose another --out, "
                "nothing was overwritten"
            )
    return folder


def _is_best_of_n(data: Sequence[str]) -> bool:
    first = next((row for source in data for _, row in islice(sources.located(source), 1)), {})
    return "candidates" in first


def _evaluation_rows(data: Sequence[str], splitter: str) -> Iterator[Row]:
    return sources.records(data, EvaluationRow, sources.split_by(splitter))


def _candidates(data: Sequence[str], splitter: str) -> Iterator[Row]:
    """Each candidate with steps as a row to score; one without has nothing to judge."""

    def check(row: BestOfNRow, where: str) -> None:
        _check_candidates(row, where)
        sources.check_splitter(row, splitter, where)

    for row in sources.records(data, BestOfNRow, check):
        for number, candidate in enumerate(row["candidates"]):
            if candidate["steps"]:
                yield {
                    "id": CANDIDATE.format(id=row["id"], number=number),
                    "problem": row["problem"],
                    "steps": candidate["steps"],
                }


def _check_candidates(row: BestOfNRow, where: str) -> None:
    for number, candidate in enumerate(row.candidates):
        if any(not step.strip() for step in candidate.steps):
            raise InputError(f"{where}: field 'candidates[{number}].steps': an empty step")


def _best_of_n(
    data: Sequence[str],
    judgements: Sequence[Judgement],
    judging: Report,
    made_by: Mapping[str, Any],
) -> tuple[dict[str, Any], list[TableRow], ReportData]:
    metrics = best_of_n_metrics(scored_candidates(data, judgements))
    metrics |= {
        "seconds": judging.seconds,
        "completion_tokens": judging.completion_tokens,
        "provenance": dict(made_by),
    }
    table = best_of_n_table(metrics)
    report = ReportData(
        title="Best-of-n evaluation",
        subtitle=f"{metrics['n']:,} problems with {metrics['candidates']} candidates each",
        tables=(Table("Problems solved", tuple(table)),),
        provenance=made_by,
    )
    return metrics, table, report


def scored_candidates(data: Sequence[str], judgements: Iterable[Judgement]) -> list[BestOfNRow]:
    """Best-of-n rows with the step scores that `evaluate` found; a candidate without steps has
    none."""
    scores = {j.id: [step.score for step in j.steps] for j in judgements}
    rows = sources.records(data, BestOfNRow, _check_candidates)
    return [_with_scores(BestOfNRow.model_validate(row), scores) for row in rows]


def _with_scores(row: BestOfNRow, scores: Mapping[str, list[float | None]]) -> BestOfNRow:
    candidates = [
        candidate.model_copy(
            update={"step_scores": scores.get(CANDIDATE.format(id=row.id, number=number))}
        )
        for number, candidate in enumerate(row.candidates)
    ]
    return row.model_copy(update={"candidates": candidates})


def best_of_n_table(metrics: Mapping[str, Any]) -> list[TableRow]:
    """Each way to choose, with the share of problems that it solves."""
    n = metrics["candidates"]
    table: list[TableRow] = [
        {"choice": "one at random (pass@1)", "solved": Estimate.of(metrics, "pass_at_1")},
        {"choice": f"majority of {n}", "solved": Estimate.of(metrics, "majority")},
    ]
    for way, name in (("best_of_n", f"best of {n}"), ("weighted_majority", "weighted majority")):
        for how, figures in metrics[way].items():
            table.append({"choice": f"{name}, {how}", "solved": Estimate.of(figures, "accuracy")})
    table.append({"choice": "any right (pass@n)", "solved": Estimate.of(metrics, "pass_at_n")})
    return table
