"""First errors in fresh solutions of the built-in tasks, by a critic, against the exact oracle.

    python benchmarks/first_error.py --out DIR [--critic embedded:critic] [--n 1000] [--seed 2]

Samples one solution per problem with the embedded base, as `genprm quickstart` does for its
evaluation, drops those that state no answer, and judges the first n of each task. The default seed
is the quickstart's for evaluation; no training problem has it. Resumes like any stage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cluster import pipelines, runtime
from cluster.evaluate import evaluate
from cluster.quickstart import SEEDS, SPARE, first_error_rows
from genprm import tasks
from genprm.config import load_config
from genprm.evaluation.tables import format_table
from genprm.rows import read_rows, write_jsonl


def main() -> None:
    """Sample, judge, and print the table of `genprm eval`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--critic", default="embedded:critic")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEEDS["eval"])
    args = parser.parse_args()
    config = load_config(args.config, [f"models.critic={args.critic}"])
    args.out.mkdir(parents=True, exist_ok=True)
    asked = args.n + round(SPARE * args.n)
    forms = {"tracking": "&form=person"}
    problems = [f"task:{t}?n={asked}&seed={args.seed}{forms.get(t, '')}" for t in tasks.TASKS]
    with runtime.session(config.runtime):
        solved = pipelines.solve(config, problems, str(args.out / "solutions.jsonl"))
        rows = [r for r in read_rows(solved.out) if r["error"] is None and r["final_answer"]]
        data = args.out / "eval.jsonl"
        write_jsonl(str(data), first_error_rows(rows, args.n))
        found = evaluate(config, [str(data)], str(args.out / "eval"))
    print(format_table(found.table))


if __name__ == "__main__":
    main()
