"""Label estimators against flat Monte Carlo: agreement with the exact oracle, and tokens spent.

    python benchmarks/label_estimators.py --out DIR [--n 500] [--rollouts 16]

The same finished solutions of each built-in task (the whole-assignment form of tracking) are
labelled by `flat` and by every other estimator, each with and without reuse. Agreement is the
exact first error, or none; an unlabelled solution counts as wrong. Differences are paired. Writes
DIR/result.json and DIR/curves-TASK.svg; killed and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cluster import pipelines, runtime
from genprm import tasks
from genprm.config import Config, load_config
from genprm.evaluation.intervals import Estimate, paired_difference, proportion
from genprm.evaluation.page import plot_css
from genprm.evaluation.plots import Series, line_chart, standalone
from genprm.evaluation.tables import format_table
from genprm.labeling.labels import is_decided
from genprm.rows import read_rows, write_jsonl

SOURCES = {"arithmetic": "", "tracking": "&form=assignment"}
FLAT = "flat"
# name → settings of `label`; the number of rollouts is that of flat unless it stands here
RUNS: dict[str, dict[str, Any]] = {
    FLAT: {"estimator": "flat_hard"},
    "flat, 8": {"estimator": "flat_hard", "rollouts": 8},
    "flat, 4": {"estimator": "flat_hard", "rollouts": 4},
    "flat, 2": {"estimator": "flat_hard", "rollouts": 2},
    "flat, 4, reuse": {"estimator": "flat_hard", "rollouts": 4, "reuse": "rollouts"},
    "first zero": {"estimator": "first_zero"},
    "first zero, 8": {"estimator": "first_zero", "rollouts": 8},
    "binary search, 8": {"estimator": "binary_search", "rollouts": 8},
    "binary search, 4": {"estimator": "binary_search", "rollouts": 4},
    "relative progress, 8": {"estimator": "relative_progress", "rollouts": 8},
    "relative effective": {"estimator": "relative_effective"},
    "adaptive, 0.7": {"estimator": "adaptive", "confidence": 0.7},
    "adaptive, 0.8": {"estimator": "adaptive", "confidence": 0.8},
    "adaptive, 0.9": {"estimator": "adaptive", "confidence": 0.9},
    "adaptive, 0.8, reuse": {"estimator": "adaptive", "confidence": 0.8, "reuse": "rollouts"},
}


def main() -> None:
    """Solve, label in every way, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--n", type=int, default=500, help="solutions of each task")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--rollouts", type=int, default=16, help="of flat, per prefix")
    parser.add_argument("--only", nargs="*", default=list(RUNS), help="runs by name")
    args = parser.parse_args()
    config = load_config(args.config, [f"label.rollouts={args.rollouts}", *args.set])
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = [FLAT, *(name for name in args.only if name != FLAT)]
    with runtime.session(config.runtime):
        solutions = _solutions(config, args)
        labels = {name: _label(config, name, solutions, args.out) for name in chosen}
    truth = {row["id"]: _oracle(row) for row in read_rows(solutions)}
    result = {task: _compare(labels, truth, task) for task in SOURCES}
    document = {"n": args.n, "rollouts": args.rollouts, "seed": args.seed, "tasks": result}
    (args.out / "result.json").write_text(json.dumps(document, indent=2) + "\n")
    for task, figures in result.items():
        (args.out / f"curves-{task}.svg").write_text(_picture(task, figures))
    print(format_table([row for figures in result.values() for row in _table(figures)]))


def _solutions(config: Config, args: argparse.Namespace) -> str:
    """Finished solutions, as many of each task as asked for."""
    more = args.n + args.n // 10
    sources = [f"task:{task}?n={more}&seed={args.seed}{form}" for task, form in SOURCES.items()]
    solved = pipelines.solve(config, sources, str(args.out / "solved.jsonl"))
    path = args.out / "solutions.jsonl"
    if not path.exists():
        finished = [r for r in read_rows(solved.out) if r["error"] is None and r["final_answer"]]
        by_task = [[r for r in finished if r["task"] == task][: args.n] for task in SOURCES]
        write_jsonl(str(path), [row for rows in by_task for row in rows])
    return str(path)


def _label(config: Config, name: str, solutions: str, out: Path) -> list[dict[str, Any]]:
    """Label in one way; every run has seeds of its own, so that none sees another's rollouts."""
    settings = config.label.model_copy(update=RUNS[name])
    run = config.model_copy(
        update={"label": settings, "seed": config.seed + 1 + list(RUNS).index(name)}
    )
    path = out / f"labels_{name.replace(', ', '_').replace(' ', '_')}.jsonl"
    print(f"labelling: {name}", flush=True)
    return list(read_rows(pipelines.label(run, [solutions], str(path)).out))


def _oracle(row: dict[str, Any]) -> int:
    return tasks.get(row["task"]).first_error(row["problem"], row["steps"])


def _exact(row: dict[str, Any], truth: dict[str, int]) -> bool:
    labelled = is_decided(row["labels"])
    return labelled and row["first_error"] == truth[row["id"]]


def _compare(
    labels: dict[str, list[dict[str, Any]]], truth: dict[str, int], task: str
) -> list[dict[str, Any]]:
    """Figures of every run on one task, the flat one first."""
    rows = {name: [r for r in run if r["task"] == task] for name, run in labels.items()}
    reference = {row["id"]: row for row in rows[FLAT]}
    figures = []
    for name, run in rows.items():
        exact = [_exact(row, truth) for row in run]
        flat = [_exact(reference[row["id"]], truth) for row in run]
        tokens = sum(row["cost"]["completion_tokens"] for row in run)
        flat_tokens = sum(row["cost"]["completion_tokens"] for row in reference.values())
        figures.append(
            {
                "task": task,
                "name": name,
                "n": len(run),
                "labelled": sum(any(x is not None for x in row["labels"]) for row in run),
                "tokens_per_solution": tokens / len(run),
                "rollouts_per_solution": sum(r["cost"]["rollouts"] for r in run) / len(run),
                "token_share": tokens / flat_tokens,
                **proportion(exact).fields("agreement"),
                **paired_difference(exact, flat).fields("difference"),
            }
        )
    return figures


def _table(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "task": row["task"],
            "estimator": row["name"],
            "n": row["n"],
            "labelled": row["labelled"],
            "tokens/solution": f"{row['tokens_per_solution']:.0f}",
            "of flat": f"{100 * row['token_share']:.0f} %",
            "agreement": Estimate.of(row, "agreement"),
            "difference": Estimate.of(row, "difference"),
        }
        for row in figures
    ]


def _picture(task: str, figures: list[dict[str, Any]]) -> str:
    """Agreement against tokens, one line per family of runs."""
    families: dict[str, list[tuple[int, Estimate]]] = {}
    for row in figures:
        point = (round(row["tokens_per_solution"]), Estimate.of(row, "agreement"))
        families.setdefault(row["name"].split(",")[0], []).append(point)
    series = [Series(n, tuple(sorted(p, key=lambda x: x[0]))) for n, p in families.items()]
    chart = line_chart(series, f"First error, {task}", "tokens per solution", "agreement")
    return standalone(chart, plot_css())


if __name__ == "__main__":
    main()
