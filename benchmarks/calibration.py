"""How much calibration helps: fitted on some judged rows, measured on others.

    python benchmarks/calibration.py ROWS EVAL NEW_ROWS NEW_EVAL --out DIR --source WORDS
        --new-source WORDS

ROWS are evaluation rows, and EVAL is the folder that `genprm eval` made of them, with the critic's
sampling and votes and `score.return_critiques`; NEW_ROWS and NEW_EVAL likewise. WORDS describe the
rows in the files that are written. Fits as `genprm calibrate` does, once for all votes and once for
those that early stopping asks for. Reports expected calibration error and Brier score of the new
rows' scores before and after. Writes DIR/result.json, and DIR/genprm_calibration.json for the
directory of a critic.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.stages.calibrate import fit_calibrations, stopped_early
from genprm.config.load import load_config
from genprm.data.rows import read_records
from genprm.evaluation.first_error import JUDGED
from genprm.evaluation.reliability import calibration_error, labelled_steps
from genprm.records import EvaluationRow, Judgement, ScoreCalibration
from genprm.report.tables import TableRow
from genprm.report.terminal import print_table
from genprm.scoring.calibration import CALIBRATION_FILE, calibrated

KINDS = ("raw", "calibrated")


def main() -> None:
    """Fit, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("rows", "evaluated", "new_rows", "new_evaluated"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--source", required=True, help="what the rows are; kept with what is fitted"
    )
    parser.add_argument("--new-source", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    score = load_config("tiny", args.set).score
    rows, judgements = _read(args.rows, args.evaluated, score.votes)
    calibrations = fit_calibrations(rows, judgements, score, args.source, by_itself=True)
    rows, judgements = _read(args.new_rows, args.new_evaluated, score.votes)
    early = [stopped_early(judgement, score) for judgement in judgements]
    summaries = [
        {
            "early_stop": one.early_stop,
            "fitted": one.model_dump(
                include={"source", "steps", "solutions", "method", "held_out"}
            ),
            "sampling": one.sampling,
            "figures": _figures(rows, early if one.early_stop else judgements, one),
        }
        for one in calibrations
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("result.json", {"rows": args.new_source, "calibrations": summaries}),
        (CALIBRATION_FILE, [one.row() for one in calibrations]),
    ):
        (args.out / name).write_text(json.dumps(content, indent=2) + "\n")
    table: list[TableRow] = [
        {
            "votes": "until settled" if each["early_stop"] else "all",
            "rows": source,
            "steps": figures["steps"],
            **{f"{name}, ECE x 100": 100 * figures[name]["ece"] for name in KINDS},
            **{f"{name}, Brier x 100": 100 * figures[name]["brier"] for name in KINDS},
        }
        for each in summaries
        for source, figures in each["figures"].items()
    ]
    print_table(table)


def _read(rows: Path, evaluated: Path, votes: int) -> tuple[list[EvaluationRow], list[Judgement]]:
    judgements = list(read_records(evaluated / "judgements.jsonl", Judgement))
    counts = {len(s.critiques or ()) for j in judgements for s in j.steps if s.status in JUDGED}
    if counts != {votes}:
        sys.exit(f"{evaluated}: {sorted(counts)} critiques per step, not {votes}")
    return list(read_records(rows, EvaluationRow)), judgements


def _figures(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement], calibration: ScoreCalibration
) -> dict[str, Any]:
    """By source, and of all."""
    by_id = {judgement.id: judgement for judgement in judgements}
    figures: dict[str, Any] = {}
    for source in ("all", *sorted({row.source for row in rows})):
        some = [row for row in rows if source in ("all", row.source)]
        steps, _ = labelled_steps(some, [by_id[row.id] for row in some])
        figures[source] = {"solutions": len(some), "steps": len(steps)}
        for name in KINDS:
            ece, brier = calibration_error(
                [
                    (
                        calibrated(calibration, s.score) if name == "calibrated" else s.score,
                        s.correct,
                    )
                    for s in steps
                ]
            )
            figures[source][name] = {"ece": ece, "brier": brier}
    return figures


if __name__ == "__main__":
    main()
