"""Plain facts for pretraining: states, and what one swap makes of them."""

from __future__ import annotations

import random

from genprm.tasks.tracking.problems import draw
from genprm.tasks.tracking.solutions import state_text


def facts(rng: random.Random) -> str:
    """A few swaps, each told from the state before it."""
    puzzle = draw(rng, form="assignment")
    states = puzzle.states()
    lines = [f"The start: {state_text(states[0])}."]
    for number, ((a, b), before, after) in enumerate(
        zip(puzzle.swaps, states, states[1:], strict=False), start=1
    ):
        lines.append(
            f"Swap {number}: {a} had {before[a]}, {b} had {before[b]}. {state_text(after)}."
        )
    lines.append(f"The end: {state_text(states[-1])}.")
    if rng.random() < 0.5:
        other = dict(states[-1])
        person = rng.choice(list(other))
        other[person] = rng.choice(puzzle.things)
        same = "; ".join(
            f"{p}: {t}, {'same' if other[p] == t else f'not {other[p]}'}"
            for p, t in states[-1].items()
        )
        lines.append(f"Not {state_text(other)}: {same}." if other != states[-1] else same + ".")
    return "\n".join(lines)
