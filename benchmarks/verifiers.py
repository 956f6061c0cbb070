"""The verifiers against data with known outcomes.

    python benchmarks/verifiers.py DATA [--out FILE]

DATA holds gsm8k/example_model_solutions.jsonl (1,044 solutions with an outcome) and
code/mbpp_sanitized.jsonl (146 programs with tests). `math` should reproduce every outcome (all of
these answers are plain numbers). `code` should pass every program, and fail it when it returns None
everywhere, and without its last step if that leaves a program.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from genprm.data.rows import read_rows
from genprm.records import Problem
from genprm.report.tables import TableRow
from genprm.report.terminal import print_table
from genprm.steps import SPLITTERS, split
from genprm.util.stats import proportion
from genprm.verifiers import VERIFIERS
from genprm.verifiers.base import grade

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


class Case(NamedTuple):
    """A solution, the problem that it belongs to, and whether it is right."""

    name: str
    steps: list[str]
    problem: Problem
    right: bool


def main() -> None:
    """Check everything; print a table and the cases with an unexpected outcome."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    groups = {
        "math: GSM8K solutions": ("math", list(_gsm8k(args.data))),
        "code: MBPP programs": ("code", list(_mbpp(args.data, "as they are"))),
        "code: without their last step": ("code", list(_mbpp(args.data, "without the last step"))),
        "code: returning None": ("code", list(_mbpp(args.data, "returning None"))),
    }
    table: list[TableRow] = []
    result: dict[str, Any] = {}
    for name, (kind, cases) in groups.items():
        started = time.monotonic()
        verdicts = asyncio.run(_check(kind, cases))
        seconds = time.monotonic() - started
        as_known = [v is case.right for v, case in zip(verdicts, cases, strict=True)]
        others = [case for ok, case in zip(as_known, cases, strict=True) if not ok]
        share = proportion(as_known)
        table.append(
            {
                "cases": name,
                "n": len(cases),
                "as known": share,
                "ms each": 1e3 * seconds / len(cases),
            }
        )
        result[name] = {"n": len(cases), **share.fields("as_known"), "seconds": seconds}
        result[name]["others"] = [case.name for case in others]
        for case in others:
            print(f"{name}: {case.name}: {case.steps[-1][-80:]!r} is {case.right}")
    print_table(table)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


async def _check(kind: str, cases: list[Case]) -> list[bool | None]:
    """Check cases in parallel, one per core."""
    free = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(case: Case) -> bool | None:
        async with free:
            graded = await asyncio.to_thread(grade, VERIFIERS[kind], case.problem, case.steps)
            return graded.correct

    return await asyncio.gather(*map(one, cases))


def _gsm8k(data: Path) -> Iterator[Case]:
    for i, row in enumerate(read_rows(data / "gsm8k" / "example_model_solutions.jsonl")):
        reference = _hashes(row["ground_truth"])
        problem = Problem(id=f"gsm8k-{i}", problem=row["question"], answer=reference)
        for model in MODELS:
            solution = _hashes(row[model]["solution"]).splitlines()
            yield Case(f"gsm8k-{i}-{model}", solution, problem, row[model]["is_correct"])


def _hashes(solution: str) -> str:
    """The answer in GSM8K's own form; these files have "A: 18" for "#### 18"."""
    start, _, answer = solution.rpartition("A: ")
    return f"{start}#### {answer}"


def _mbpp(data: Path, variant: str) -> Iterator[Case]:
    for row in read_rows(data / "code" / "mbpp_sanitized.jsonl"):
        tests = [*row["test_imports"], *row["test_list"]]
        problem = Problem(id=f"mbpp-{row['task_id']}", problem=row["prompt"], tests=tests)
        code = row["code"]
        if variant == "without the last step":
            code = SPLITTERS["code"].separator.join(split(code, "code")[:-1])
            if not _parses(code):  # a header without its body fails whatever the verifier does
                continue
        elif variant == "returning None":
            code = ast.unparse(_Nothing().visit(ast.parse(code)))
        yield Case(f"{problem.id} {variant}", [code], problem, variant == "as they are")


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


class _Nothing(ast.NodeTransformer):
    def visit_Return(self, node: ast.Return) -> ast.Return:
        return ast.Return(value=None)


if __name__ == "__main__":
    main()
