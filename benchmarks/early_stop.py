"""Early stopping against fixed votes, on judgements that kept all of their critiques.

    python benchmarks/early_stop.py DATA EVAL --out FILE

DATA are evaluation rows and EVAL the folder that `genprm eval` made of them. The critiques of every
step are dealt out again in rounds (`genprm.scoring.voting.until_settled`). Tokens are those of
critiques.
The difference in F1 is paired by row, with bootstrap bounds. AUC is of solution scores (`min`), as
rewards and best-of-n use them. Writes FILE (JSON).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genprm.data.rows import read_records
from genprm.evaluation.first_error import pair
from genprm.records import EvaluationRow, Judgement
from genprm.report.tables import TableRow
from genprm.report.terminal import print_table
from genprm.scoring.voting import until_settled, vote
from genprm.util.stats import Estimate, harmonic_mean

RULES = [(8, 0.0), (2, 0.0), (1, 0.0), (2, 0.03), (2, 0.08), (1, 0.08), (1, 0.16), (1, 0.21)]
RESAMPLES = 4_000


class Replay(NamedTuple):
    """All rows replayed with one rule: which verdicts are right, and the cost in critiques."""

    right: np.ndarray
    scores: np.ndarray  # of solutions, by `min`
    tokens: int
    critiques: int


def main() -> None:
    """Replay every rule and compare it with all votes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("evaluated", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    judgements = read_records(args.evaluated / "judgements.jsonl", Judgement)
    pairs = pair(read_records(args.data, EvaluationRow), judgements)
    has_error = np.array([row.first_error >= 0 for row, _ in pairs])
    fixed = _replay(pairs, *RULES[0])
    table, result = list[TableRow](), list[dict[str, Any]]()
    for size, risk in RULES:
        replay = _replay(pairs, size, risk)
        difference = _difference(replay.right, fixed.right, has_error)
        figures = {
            "round_votes": size,
            "stop_risk": risk,
            "n": len(pairs),
            "critiques_per_step": replay.critiques / sum(len(j.steps) for _, j in pairs),
            "token_share": replay.tokens / fixed.tokens,
            "f1": _f1(replay.right, has_error),
            "auc": _auc(replay.scores, has_error),
            **difference.fields("difference"),
        }
        result.append(figures)
        table.append(
            {
                "round": size,
                "risk": f"{risk:g}",
                "critiques per step": figures["critiques_per_step"],
                "tokens": Estimate(figures["token_share"]),
                "F1": Estimate(figures["f1"]),
                "AUC": Estimate(figures["auc"]),
                "minus all votes": difference,
            }
        )
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    print_table(table)


def _replay(pairs: Sequence[tuple[EvaluationRow, Judgement]], size: int, risk: float) -> Replay:
    right, scores, tokens, count = list[bool](), list[float](), 0, 0
    for row, judgement in pairs:
        verdicts: list[str | None] = []
        lowest = 1.0
        for step in judgement.steps:
            critiques = until_settled(step.critiques or (), size, risk)
            tokens += sum(critique.tokens for critique in critiques)
            count += len(critiques)
            score, verdict, _ = vote(critiques)
            verdicts.append(verdict)
            lowest = min(lowest, score or 0.0)
        error = next((i for i, verdict in enumerate(verdicts) if verdict == "incorrect"), -1)
        prefix = verdicts if error < 0 else verdicts[:error]
        right.append(error == row.first_error and None not in prefix)
        scores.append(lowest)
    return Replay(np.array(right), np.array(scores), tokens, count)


def _f1(right: np.ndarray, has_error: np.ndarray) -> float:
    return harmonic_mean(float(right[has_error].mean()), float(right[~has_error].mean()))


def _auc(scores: np.ndarray, has_error: np.ndarray) -> float:
    """How often the score of a right solution is above that of a wrong one; a tie counts half."""
    good, bad = scores[~has_error][:, None], scores[has_error][None, :]
    return float(((good > bad) + 0.5 * (good == bad)).mean())


def _difference(one: np.ndarray, other: np.ndarray, has_error: np.ndarray) -> Estimate:
    """The F1 of the first minus that of the second, with bounds by bootstrap within each class."""
    differences = np.zeros((2, RESAMPLES))
    for which, right in enumerate((one, other)):
        rng = np.random.default_rng(0)  # the same rows for both
        accuracies = []
        for kind in (has_error, ~has_error):
            rows = right[kind]
            drawn = rng.integers(len(rows), size=(RESAMPLES, len(rows)))
            accuracies.append(rows[drawn].mean(axis=1))
        total = accuracies[0] + accuracies[1]
        differences[which] = 2 * accuracies[0] * accuracies[1] / np.where(total, total, 1)
    low, high = np.quantile(differences[0] - differences[1], (0.025, 0.975))
    value = _f1(one, has_error) - _f1(other, has_error)
    return Estimate(value, float(low), float(high), len(one))


if __name__ == "__main__":
    main()
