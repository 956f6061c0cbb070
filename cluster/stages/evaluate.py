"""`genprm eval`: judge rows whose truth is known, and write what that says about the critic.

    DIR/judgements.jsonl    one judgement per row (per candidate for best-of-n rows), resumable;
                            beside it judgements.jsonl.skipped.jsonl, if rows were skipped
    DIR/metrics.json        the figures, with intervals
    DIR/report.html         the same to look at, with plots/ beside it

The rows are read once, judged by the stage that `score` runs and measured by `genprm.evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cluster.stages.provenance import provenance
from cluster.stages.report import Report
from cluster.stages.run import run_stage
from cluster.stages.score import scoring_stage
from genprm.config.root import Config
from genprm.data import sources, storage
from genprm.data.bad_rows import STRICT, BadRows
from genprm.data.rows import FailedRow, LocatedRow, read_records
from genprm.errors import ConfigError, InputError
from genprm.evaluation.bon import best_of_n_metrics
from genprm.evaluation.metrics import ChoiceMetrics, EvaluationMetrics, evaluation_metrics
from genprm.records import BestOfNRow, EvaluationRow, Judgement, Record, Row
from genprm.report.report import ReportData, write_plots, write_report
from genprm.report.summary import (
    best_of_n_report,
    best_of_n_rows,
    evaluation_report,
    evaluation_rows,
)
from genprm.report.tables import TableRow
from genprm.util.stats import Figures

CANDIDATE = "{id}#{number}"  # the id of one candidate of a best-of-n row
WRITTEN = ("metrics.json", "report.html")

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation: a table, and what judging cost."""

    table: list[TableRow]
    judging: Report


@dataclass(frozen=True, slots=True)
class FirstErrorEvaluation(Evaluation):
    """An evaluation on rows whose first error is known; `metrics` is what metrics.json holds."""

    rows: Sequence[EvaluationRow]
    judgements: list[Judgement]
    metrics: EvaluationMetrics


@dataclass(frozen=True, slots=True)
class BestOfNEvaluation(Evaluation):
    """An evaluation on problems with several candidates, which carry their step scores in `rows`;
    `metrics` is what metrics.json holds."""

    rows: list[BestOfNRow]
    metrics: ChoiceMetrics


def evaluate(config: Config, data: Sequence[str], out: str) -> Evaluation:
    """Judge `data`, evaluation rows or best-of-n rows, and write everything into folder `out`.

    Rows of published benchmarks are read as they are (`genprm.data.benchmarks`). Critiques are
    kept, and no step is left out, whatever the config says: the curve over votes and the report
    need them.

    Raises:
        InputError: rows of neither kind, or of both.
        ConfigError: the folder belongs to something else, or is not a local one.
        StageError: see `run_stage`.
    """
    local_folder(out, *WRITTEN)
    bad, source = BadRows(config.on_bad_row), " ".join(data)
    located = list(sources.rows_to_evaluate(data, bad))
    with_candidates = sum(row.row.get("candidates") is not None for row in located)
    if 2 * with_candidates > len(located):
        problems = read(located, BestOfNRow, _check_candidates, bad, source)
        return evaluate_best_of_n(config, problems, source, out, bad)
    rows = read(located, EvaluationRow, sources.check_evaluation, bad, source)
    return evaluate_first_errors(config, rows, source, out, bad)


def evaluate_first_errors(
    config: Config,
    rows: Sequence[EvaluationRow],
    source: str,
    out: str,
    bad: BadRows = STRICT,
) -> FirstErrorEvaluation:
    """`evaluate` on rows that are read already; `source` names where they are from, and `bad` has
    those that were skipped."""
    folder = local_folder(out, *WRITTEN)
    judging, judgements = _judge(config, [row.row() for row in rows], source, folder, bad)
    metrics = evaluation_metrics(
        rows,
        judgements,
        seconds=judging.seconds,
        provenance=_made_by(config, bad),
    )
    name = config.models.critic
    _write(folder, metrics, evaluation_report(name, metrics, rows, judgements))
    return FirstErrorEvaluation(evaluation_rows(name, metrics), judging, rows, judgements, metrics)


def evaluate_best_of_n(
    config: Config,
    rows: Sequence[BestOfNRow],
    source: str,
    out: str,
    bad: BadRows = STRICT,
) -> BestOfNEvaluation:
    """`evaluate` on problems that are read already; `source` names where they are from, and `bad`
    has those that were skipped."""
    folder = local_folder(out, *WRITTEN)
    judging, judgements = _judge(config, list(_candidates(rows)), source, folder, bad)
    scored = _scored(rows, judgements)
    choices = best_of_n_metrics(scored)
    metrics = ChoiceMetrics(
        choices,
        seconds=judging.seconds,
        completion_tokens=judging.usage.completion_tokens,
        provenance=_made_by(config, bad),
    )
    _write(folder, metrics, best_of_n_report(metrics))
    return BestOfNEvaluation(best_of_n_rows(choices), judging, scored, metrics)


def read(
    located: Iterable[LocatedRow],
    model: type[R],
    check: Callable[[R, str], None],
    bad: BadRows,
    source: str,
) -> list[R]:
    """Rows to evaluate on, as records; `bad` takes a row that is not such a record, or that failed
    in an earlier stage.

    Raises:
        InputError: a bad row, unless they are skipped; no row is left of those of `source`.
    """
    records = []
    for row in sources.validate_rows(located, model, check, bad=bad):
        if isinstance(row, FailedRow):
            message = f"failed in an earlier stage: {row['error']}"
            bad.add(row.where, InputError(message, place=row.where), row)
        else:
            records.append(model.model_validate(row))
    if bad.skipped and not records:
        raise InputError(f"{source}: no rows to work on; {bad.summary()}")
    return records


def _made_by(config: Config, bad: BadRows) -> dict[str, Any]:
    """The provenance of figures: rows that are not in them are part of it."""
    skipped = {"skipped_rows": len(bad.skipped)} if bad.skipped else {}
    return provenance(config.seed, "genprm eval") | skipped


def _judge(
    config: Config, rows: Sequence[Row], source: str, folder: Path, bad: BadRows
) -> tuple[Report, list[Judgement]]:
    config = config.with_pack_sampling()
    kept = config.score.model_copy(update={"return_critiques": True, "stop_at_first_error": False})
    config = config.model_copy(update={"score": kept})
    stage = scoring_stage(config, "eval")
    judging = run_stage(stage, config, lambda _: rows, source, f"{folder}/judgements.jsonl", bad)
    return judging, read_records(judging.out, Judgement)


def _write(folder: Path, metrics: Figures, report: ReportData) -> None:
    storage.write_json(f"{folder}/metrics.json", metrics.json())
    write_report(folder / "report.html", report)
    write_plots(folder / "plots", report)


def local_folder(out: str, *written: str) -> Path:
    """The output folder of a command that judges rows.

    Raises:
        ConfigError: not a local folder, or one of `written` is in it, from something else.
    """
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


def _candidates(rows: Iterable[BestOfNRow]) -> Iterator[Row]:
    """Each candidate with steps as a row to score; one without has nothing to judge."""
    for row in rows:
        for number, candidate in enumerate(row.candidates):
            if candidate.steps:
                yield {
                    "id": CANDIDATE.format(id=row.id, number=number),
                    "problem": row.problem,
                    "steps": candidate.steps,
                }


def _check_candidates(row: BestOfNRow, where: str) -> None:
    for number, candidate in enumerate(row.candidates):
        if any(not step.strip() for step in candidate.steps):
            field = f"candidates[{number}].steps"
            raise InputError("an empty step", field=field, place=where)


def _scored(rows: Iterable[BestOfNRow], judgements: Iterable[Judgement]) -> list[BestOfNRow]:
    """The rows with the step scores of their candidates; a candidate without steps has none."""
    scores = {j.id: [step.score for step in j.steps] for j in judgements}
    scored = []
    for row in rows:
        candidates = [
            candidate.model_copy(
                update={"step_scores": scores.get(CANDIDATE.format(id=row.id, number=number))}
            )
            for number, candidate in enumerate(row.candidates)
        ]
        scored.append(row.model_copy(update={"candidates": candidates}))
    return scored
