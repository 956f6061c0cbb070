"""Plain facts for pretraining: who has what in a told scene, and what one swap makes of it."""

from __future__ import annotations

import random

from genprm.tasks.base import given
from genprm.tasks.tracking.problems import draw, text_of
from genprm.tasks.tracking.solutions import state_text


def facts(rng: random.Random) -> str:
    """A scene that is read, options that are looked up, or a few swaps."""
    return rng.choices((_scene, _options, _swaps), (0.4, 0.15, 0.45))[0](rng)


def _scene(rng: random.Random) -> str:
    """How a problem tells the start, and the same in short, in another order."""
    puzzle = draw(rng, form="assignment")
    start = puzzle.states()[0]
    lines = [given(text_of(puzzle).partition("\n")[0])]
    for _ in range(rng.randint(1, 3)):
        people = rng.sample(list(start), len(start))
        lines.append(f"The start: {state_text({person: start[person] for person in people})}.")
    return "\n".join(lines)


def _options(rng: random.Random) -> str:
    """Lettered options, and the letter of each thing."""
    puzzle = draw(rng, form="person")
    things = list(puzzle.things)
    lines = [given("\n".join(f"({'ABCDEFG'[n]}) {thing}." for n, thing in enumerate(things)))]
    asked = rng.sample(things, len(things))
    told = "; ".join(f"{thing} is ({'ABCDEFG'[things.index(thing)]})" for thing in asked)
    return "\n".join([*lines, f"{told}."])


def _swaps(rng: random.Random) -> str:
    """A few swaps, each told from the state before it."""
    puzzle = draw(rng, form="assignment")
    states = puzzle.states()
    lines = [given(f"The start: {state_text(states[0])}.")]
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
        lines.append(
            f"{given(f'Not {state_text(other)}')}: {same}." if other != states[-1] else same + "."
        )
    return "\n".join(lines)
