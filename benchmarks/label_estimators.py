"""Label estimators against flat Monte Carlo: agreement with the exact oracle, and tokens spent.

    python benchmarks/label_estimators.py --out DIR [--n 500] [--few 100] [--rollouts 16]

The same finished solutions of each built-in task (the whole-assignment form of tracking) are
labelled by `flat` and by every other estimator, with rollouts of their own: `n` of each task by
`adaptive`, the first `few` by the rest. Agreement is the exact first error, or none; an unlabelled
solution counts as wrong. Differences are paired with flat on the same solutions. Flat with fewer
rollouts takes the first of flat's rollouts, at their mean price. `adaptive` decides every solution
that it rolled out, as the others do; "sure" are the solutions that it labels by default (for the
others: those that they decide). Also counted: the values of prefixes that the oracle calls good or
wrong, also for tracking problems that ask for one person among options. Writes DIR/result.json and
DIR/curves-TASK.svg; killed and started again, it continues where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from cluster import pipelines, runtime
from genprm import tasks
from genprm.config.label import AdaptiveConfig
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.data.rows import read_rows, write_jsonl
from genprm.labeling.labels import is_decided, labels_from_values
from genprm.report.html import plot_css
from genprm.report.plots import Series, line_chart, standalone
from genprm.report.terminal import print_table
from genprm.util.seeds import derive_seed
from genprm.util.stats import Estimate, paired_difference, proportion

SOURCES = {"arithmetic": "", "tracking": "&form=assignment"}
OPTIONS = "task:tracking?n={n}&seed={seed}&form=person"
FLAT = "flat"
FEWER = (1, 2, 4, 8)  # the first of flat's rollouts
VALUE_BOUNDS = (0.0, 0.125, 0.5, 1.0)  # of the table of values
# name → settings of `label`; the number of rollouts is that of flat unless it stands here
OTHERS: dict[str, dict[str, Any]] = {
    "first zero, 8": {"estimator": "first_zero", "rollouts": 8},
    "binary search, 8": {"estimator": "binary_search", "rollouts": 8},
    "relative progress, 4": {"estimator": "relative_progress", "rollouts": 4},
    "flat with reuse, 4": {"estimator": "flat_hard", "rollouts": 4, "reuse": "rollouts"},
    "relative effective, 8": {"estimator": "relative_effective", "rollouts": 8},
}


def _adaptive(min_information: float) -> dict[str, Any]:
    """The defaults, but for what it leaves undecided."""
    settings = AdaptiveConfig(confidence=0.9, min_information=min_information, min_confidence=0.0)
    return {"estimator": "adaptive", "adaptive": settings}


RUNS: dict[str, dict[str, Any]] = {
    FLAT: {"estimator": "flat_hard"},
    "adaptive": _adaptive(0.035),
    "adaptive, 0.04": _adaptive(0.04),
    "adaptive, 0.03": _adaptive(0.03),
    "adaptive, 0.06": _adaptive(0.06),
    **OTHERS,
}
TICKS = (250, 500, 1_000, 2_000, 4_000, 8_000)  # tokens per solution
SURE = 0.5  # default of label.adaptive.min_confidence: below, `adaptive` labels nothing


def main() -> None:
    """Solve, label in every way, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--n", type=int, default=500, help="solutions of each task")
    parser.add_argument("--few", type=int, default=100, help="the same, for the other estimators")
    parser.add_argument("--options", type=int, default=100, help="solutions with options")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--rollouts", type=int, default=16, help="of flat, per prefix")
    parser.add_argument("--tasks", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS), help="beside flat")
    args = parser.parse_args()
    config = load_config(args.config, [f"label.rollouts={args.rollouts}", *args.set])
    args.out.mkdir(parents=True, exist_ok=True)
    with runtime.session(config.runtime):
        solutions, few, options = _solutions(config, args)
        labels = {
            name: _label(config, name, few if name in OTHERS else solutions, args.out)
            for name in RUNS
            if name == FLAT or name in args.only
        }
        with_options = _label(config, FLAT, options, args.out, "options") if args.options else []
    truth = {row["id"]: _oracle(row) for row in [*read_rows(solutions), *with_options]}
    result = {task: _compare(labels, truth, task) for task in args.tasks}
    values = {
        "arithmetic": _of("arithmetic", labels[FLAT]),
        "tracking, assignment": _of("tracking", labels[FLAT]),
        "tracking, options": with_options,
    }
    table = [row for name, rows in values.items() for row in _values(name, rows, truth)]
    document = {"n": args.n, "few": args.few, "rollouts": args.rollouts, "seed": args.seed}
    document |= {"runs": RUNS, "tasks": _as_json(result), "values": table}
    (args.out / "result.json").write_text(json.dumps(document, indent=2) + "\n")
    for task, figures in result.items():
        (args.out / f"curves-{task}.svg").write_text(_picture(task, figures))
    print_table([row for figures in result.values() for row in _table(figures)])
    print_table(table)


def _solutions(config: Config, args: argparse.Namespace) -> list[str]:
    """Files of finished solutions: `n` of each task, `few` of them, and those with options."""
    more = args.n + args.n // 10
    sources = [f"task:{task}?n={more}&seed={args.seed}{SOURCES[task]}" for task in args.tasks]
    solved = _finished(config, sources, args.out / "solved.jsonl")
    with_options = []
    if args.options:
        option_sources = [OPTIONS.format(n=args.options + args.options // 10, seed=args.seed)]
        with_options = _finished(config, option_sources, args.out / "solved-options.jsonl")
    files = {
        "solutions": [r for task in args.tasks for r in _of(task, solved)[: args.n]],
        "few": [r for task in args.tasks for r in _of(task, solved)[: args.few]],
        "options": with_options[: args.options],
    }
    for name, rows in files.items():
        write_jsonl(str(args.out / f"{name}.jsonl"), rows)
    return [str(args.out / f"{name}.jsonl") for name in files]


def _finished(config: Config, sources: list[str], out: Path) -> list[dict[str, Any]]:
    rows = read_rows(pipelines.solve(config, sources, str(out)).out)
    return [row for row in rows if row["error"] is None and row["final_answer"]]


def _of(task: str, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["task"] == task]


def _label(
    config: Config, name: str, solutions: str, out: Path, suffix: str = ""
) -> list[dict[str, Any]]:
    """Label with one run's settings and its own seeds, so that runs do not share rollouts."""
    settings = config.label.model_copy(update=RUNS[name])
    seed = derive_seed(config.seed, "estimator", name)
    run = config.model_copy(update={"label": settings, "seed": seed})
    label = "_".join(filter(None, [name.replace(", ", "_").replace(" ", "_"), suffix]))
    print(f"labelling: {label}", flush=True)
    path = out / f"labels_{label}.jsonl"
    return list(read_rows(pipelines.label(run, [solutions], str(path)).out))


def _oracle(row: dict[str, Any]) -> int:
    return tasks.get(row["task"]).first_error(row["problem"], row["steps"])


def _exact(row: dict[str, Any], truth: dict[str, int]) -> bool:
    return is_decided(row["labels"]) and row["first_error"] == truth[row["id"]]


def _first(row: dict[str, Any], rollouts: int) -> dict[str, Any]:
    """A flat row with only the first of its rollouts."""
    values: list[float | None] = []
    for outcomes in row["outcomes"]:
        first = outcomes[:rollouts]
        has_outcome = any(outcome is not None for outcome in first)
        values.append(first.count(True) / len(first) if has_outcome else None)
    labels, first_error = labels_from_values(values)
    share = rollouts / row["estimator_settings"]["rollouts"]
    cost = {name: share * spent for name, spent in row["cost"].items()}
    return row | {"labels": labels, "first_error": first_error, "cost": cost}


def _compare(
    labels: dict[str, list[dict[str, Any]]], truth: dict[str, int], task: str
) -> list[dict[str, Any]]:
    """Figures of every run on one task, the flat one first."""
    rows = {name: _of(task, run) for name, run in labels.items()}
    flat = {row["id"]: row for row in rows[FLAT]}
    fewer = {f"{FLAT}, {k}": [_first(row, k) for row in flat.values()] for k in FEWER}
    figures = []
    for name, run in {**rows, **fewer}.items():
        exact = [_exact(row, truth) for row in run]
        beside = [flat[row["id"]] for row in run]
        tokens, flat_tokens = (
            sum(row["cost"]["completion_tokens"] for row in some) for some in (run, beside)
        )
        sure = [
            (row["first_error"] == truth[row["id"]])
            for row in run
            if is_decided(row["labels"]) and row.get("settled", 1) >= SURE
        ]
        figures.append(
            {
                "task": task,
                "name": name,
                "n": len(run),
                "tokens_per_solution": tokens / len(run),
                "rollouts_per_solution": sum(r["cost"]["rollouts"] for r in run) / len(run),
                "token_share": tokens / flat_tokens,
                "agreement": proportion(exact),
                "difference": paired_difference(exact, [_exact(row, truth) for row in beside]),
                "sure": len(sure),
                "sure_agreement": proportion(sure),
            }
        )
    return figures


def _as_json(result: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The figures with estimates as a value and its bounds."""
    output: dict[str, list[dict[str, Any]]] = {}
    for task, figures in result.items():
        output[task] = []
        for row in figures:
            content: dict[str, Any] = {}
            for name, value in row.items():
                content |= value.fields(name) if isinstance(value, Estimate) else {name: value}
            output[task].append(content)
    return output


def _table(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "task": row["task"],
            "estimator": row["name"],
            "n": row["n"],
            "tokens/solution": f"{row['tokens_per_solution']:.0f}",
            "of flat": f"{100 * row['token_share']:.1f} %",
            "agreement": row["agreement"],
            "difference": row["difference"],
            "sure": row["sure"],
            "agreement of those": row["sure_agreement"],
        }
        for row in figures
    ]


def _values(name: str, rows: list[dict[str, Any]], truth: dict[str, int]) -> list[dict[str, Any]]:
    """Counts of prefixes by value, good and wrong ones, without the last of each solution."""
    bins = [f"{low:g} to {high:g}" for low, high in pairwise(VALUE_BOUNDS)]
    counts = {kind: dict.fromkeys(["0", *bins], 0) for kind in ("good", "wrong")}
    for row in rows:
        error = truth[row["id"]]
        for step, value in enumerate(row["values"][:-1]):
            if value is None:
                continue
            kind = "wrong" if 0 <= error <= step else "good"
            over = sum(value > bound for bound in VALUE_BOUNDS)
            counts[kind][["0", *bins][over]] += 1
    return [
        {"task": name, "oracle": kind, "prefixes": sum(by_value.values())} | by_value
        for kind, by_value in counts.items()
    ]


def _picture(task: str, figures: list[dict[str, Any]]) -> str:
    """Agreement against tokens, one line per family of runs."""
    families: dict[str, list[tuple[int, Estimate]]] = {}
    for row in figures:
        point = (round(row["tokens_per_solution"]), row["agreement"])
        family = row["name"].split(",")[0]
        if "reuse" in family:  # in the table; more than six lines cannot be distinguished
            continue
        families.setdefault(family, []).append(point)
    series = [Series(n, tuple(sorted(p, key=lambda x: x[0]))) for n, p in families.items()]
    title = f"Exact first error, {task}"
    chart = line_chart(series, title, "tokens per solution", "agreement", ticks=TICKS)
    return standalone(chart, plot_css())


if __name__ == "__main__":
    main()
