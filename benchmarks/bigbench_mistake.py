"""Finding mistakes on BIG-Bench Mistake: traces of a large model, first errors named by people.

    python benchmarks/bigbench_mistake.py DATA --out DIR [--critic embedded:critic] [--votes 8]

DATA is a folder with `multistep_arithmetic.jsonl` and `tracking_shuffled_objects.jsonl` of
WHGTyen/BIG-Bench-Mistake (rows of input, steps, mistake_index; Apache-2.0), and if present beside
them or one folder up `first_error_dev.jsonl`, whose `suspect` marks rows with a doubtful label.
Writes DIR/result.json and the report of `genprm eval`. Accuracy is the paper's: the exact first
error, or none. The traces are for development: the built-in tasks imitate their wording, settings
may be chosen by them, and nothing is trained on them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.stages.evaluate import evaluate_first_errors
from genprm.config.load import load_config
from genprm.data.rows import read_records, read_rows, write_jsonl
from genprm.records import EvaluationRow
from genprm.report.terminal import print_table

TASKS = ("multistep_arithmetic", "tracking_shuffled_objects")
# Tyen et al. 2024 (arXiv 2311.08516), Table 4: 300 traces each, best of three prompting styles.
PUBLISHED = {"multistep_arithmetic": {"GPT-4": 44.0}, "tracking_shuffled_objects": {"GPT-4": 90.7}}


def rows(data: Path) -> Iterator[dict[str, Any]]:
    """The traces as evaluation rows."""
    suspects = {
        (row["problem"].strip(), tuple(row["steps"]))
        for path in (data / "first_error_dev.jsonl", data.parent / "first_error_dev.jsonl")
        if path.exists()
        for row in read_rows(str(path))
        if row.get("suspect")
    }
    for task in TASKS:
        for number, row in enumerate(read_rows(str(data / f"{task}.jsonl"))):
            problem, mistake = row["input"].strip(), row["mistake_index"]
            yield EvaluationRow(
                id=f"{task}-{number}",
                problem=problem,
                steps=row["steps"],
                first_error=-1 if mistake is None else mistake,
                source=task,
                **{"suspect": (problem, tuple(row["steps"])) in suspects},
            ).row()


def main() -> None:
    """Judge all traces and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--critic", default="embedded:critic")
    parser.add_argument("--votes", type=int, default=8)
    args = parser.parse_args()
    config = load_config(args.config, [f"models.critic={args.critic}", f"score.votes={args.votes}"])
    args.out.mkdir(parents=True, exist_ok=True)
    traces = args.out / "traces.jsonl"
    write_jsonl(str(traces), rows(args.data))
    records = read_records(traces, EvaluationRow)
    metrics = evaluate_first_errors(config, records, str(traces), str(args.out / "eval")).metrics
    table, result = [], {"published": PUBLISHED, "votes": args.votes, "tasks": {}}
    for task in TASKS:
        figures = metrics.first_error.sources[task]
        clean = figures.without_suspect or figures
        table.append(
            {
                "task": task,
                "n": figures.n,
                "accuracy": figures.accuracy,
                "F1 without suspect rows": clean.f1,
                "n without": clean.n,
                "GPT-4 (published)": PUBLISHED[task]["GPT-4"],
            }
        )
        result["tasks"][task] = figures.json()
    result["provenance"] = metrics.provenance
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print_table(table)


if __name__ == "__main__":
    main()
