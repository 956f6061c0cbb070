r"""The math verifier against MATH's reference answers: what must and must not be equal.

    python benchmarks/math_answers.py FILE [--out FILE]

FILE has rows with `final_answer`. Each is compared with itself in other clothes (between dollar
signs, with `\dfrac`, with a period, with spaces) and with itself after one digit was changed, once
for each of its digits.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

from genprm.data.rows import read_rows
from genprm.records import Problem
from genprm.report.tables import TableRow
from genprm.report.terminal import print_table
from genprm.util.stats import proportion
from genprm.verifiers import VERIFIERS


def main() -> None:
    """Compare everything; print what came out otherwise, and a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    answers = [row["final_answer"] for row in read_rows(args.data)]
    answers = [answer for answer in answers if answer.strip()]  # the other two are refused
    table: list[TableRow] = []
    result = {}
    for name, forms, expected in (("dressed", dressed, True), ("digit changed", changed, False)):
        pairs = [(answer, other) for answer in answers for other in forms(answer)]
        started = time.monotonic()
        verdicts = [equal(*pair) for pair in pairs]
        seconds = time.monotonic() - started
        share = proportion([verdict is expected for verdict in verdicts])
        others = [
            (*pair, verdict)
            for pair, verdict in zip(pairs, verdicts, strict=True)
            if verdict is not expected
        ]
        for reference, other, verdict in others:
            print(f"{name}: {reference!r} and {other!r}: {verdict}")
        row: TableRow = {"pairs": name, "n": len(pairs), "as expected": share}
        table.append({**row, "ms each": 1e3 * seconds / len(pairs)})
        result[name] = {"n": len(pairs), **share.fields("as_expected"), "seconds": seconds}
    print_table(table)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


def equal(reference: str, answer: str) -> bool | None:
    return VERIFIERS["math"].check(answer, Problem(id="p", problem="?", answer=reference))


def dressed(answer: str) -> Iterator[str]:
    """The answer in other clothes."""
    yield answer
    yield f"${answer}$"
    yield f"\\({answer}\\)"
    yield answer.replace("\\frac", "\\dfrac")
    yield answer if answer.endswith(".") else f"{answer}."
    yield f"  {answer} "
    yield re.sub(r"(?<=[)}\]]),(?=[({[])|(?<=[=+])(?=[^=])", lambda m: f"{m[0]} ", answer)


def changed(answer: str) -> Iterator[str]:
    """The answer with one digit another."""
    for match in re.finditer(r"\d", answer):
        for digit in {str((int(match[0]) + 1) % 10), str((int(match[0]) + 7) % 10)}:
            yield answer[: match.start()] + digit + answer[match.end() :]


if __name__ == "__main__":
    main()
