"""The table of what the math verifier takes as equal, as a part of this folder's README.

python -m genprm.verifiers.show
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
TABLE = FOLDER / "equalities.yaml"
README = FOLDER / "README.md"
BEGIN = "<!-- from equalities.yaml by python -m genprm.verifiers.show -->\n"
END = "<!-- end -->\n"
SHOWN = 3  # pairs of a kind, on each side


@dataclass(frozen=True, slots=True)
class Kind:
    """Pairs of a reference and an answer."""

    name: str
    equal: tuple[tuple[str, str], ...]
    different: tuple[tuple[str, str], ...]


@cache
def kinds() -> tuple[Kind, ...]:
    """Every kind of the table."""
    rows = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return tuple(
        Kind(row["kind"], *(tuple(map(tuple, row[side])) for side in ("equal", "different")))
        for row in rows
    )


def readme(text: str) -> str:
    """A README with the table as it is now between BEGIN and END."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README} has no place for the table")
    return before + BEGIN + _table() + END + after


def _table() -> str:
    lines = ["| kind | equal | not equal |", "|---|---|---|"]
    lines += [f"| {k.name} | {_pairs(k.equal)} | {_pairs(k.different)} |" for k in kinds()]
    return "\n".join(lines) + "\n"


def _pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{_code(left)}, {_code(right)}" for left, right in pairs[:SHOWN])


def _code(text: str) -> str:
    """A text as code in a table: a bar would end its cell."""
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
