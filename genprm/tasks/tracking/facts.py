"""Plain facts for pretraining: who has which thing in a scene, and the state after each swap."""

from __future__ import annotations

import random

from genprm.tasks.base import mark_unpredictable
from genprm.tasks.tracking.problems import draw, text_of
from genprm.tasks.tracking.scenes import SCENES
from genprm.tasks.tracking.solutions import state_text


def facts(rng: random.Random) -> str:
    """Facts of one kind: the start of a scene, the letters of options, or a few swaps."""
    return rng.choices((_scene, _options, _swaps), (0.4, 0.15, 0.45))[0](rng)


def _scene(rng: random.Random) -> str:
    """The start in the words of a problem, and again in short, in another order.

    Half of the time the rest of the problem comes between them: swaps and options to read past.
    """
    puzzle = draw(rng, form=rng.choice(("assignment", "person")))
    start = puzzle.states()[0]
    problem = text_of(puzzle)
    lines = [mark_unpredictable(problem if rng.random() < 0.5 else problem.partition("\n")[0])]
    for _ in range(rng.randint(1, 3)):
        people = rng.sample(list(start), len(start))
        lines.append(f"The start: {state_text({person: start[person] for person in people})}.")
    return "\n".join(lines)


def _options(rng: random.Random) -> str:
    """Lettered options, and the letter of each thing."""
    puzzle = draw(rng, form="person")
    things = list(puzzle.things)
    options = "\n".join(f"({'ABCDEFG'[n]}) {thing}." for n, thing in enumerate(things))
    shuffled = rng.sample(things, len(things))
    letters = "; ".join(f"{thing} is ({'ABCDEFG'[things.index(thing)]})" for thing in shuffled)
    return f"{mark_unpredictable(options)}\n{letters}."


def _swaps(rng: random.Random) -> str:
    """A few swaps, each with the state after it."""
    puzzle = draw(rng, form="assignment")
    states = puzzle.states()
    lines = [mark_unpredictable(f"The start: {state_text(states[0])}.")]
    for number, ((a, b), before, after) in enumerate(
        zip(puzzle.swaps, states, states[1:], strict=False), start=1
    ):
        lines.append(
            f"Swap {number}: {a} had {before[a]}, {b} had {before[b]}. {state_text(after)}."
        )
    lines.append(f"The end: {state_text(states[-1])}.")
    return "\n".join(lines)


def comparisons(rng: random.Random) -> str:
    """Pairs of things, or of states person by person, each the same or different."""
    return rng.choice((_pairs, _compared))(rng)


def _pairs(rng: random.Random) -> str:
    """`red and blue are different, ...`, in the words in which numbers are compared."""
    lines = []
    for _ in range(rng.randint(4, 10)):
        letters = tuple(f"({letter})" for letter in "ABCDEFG")
        things = rng.choice((*(scene.things for scene in SCENES), letters))
        first = rng.choice(things)
        second = first if rng.random() < 0.5 else rng.choice(things)
        same = "the same" if first == second else "different"
        lines.append(f"{mark_unpredictable(f'{first} and {second}')} are {same}")
    return ", ".join(lines) + "."


def _compared(rng: random.Random) -> str:
    """A state compared with other states, person by person."""
    puzzle = draw(rng, form="assignment")
    state = puzzle.states()[-1]
    lines = [mark_unpredictable(f"The end: {state_text(state)}.")]
    for _ in range(rng.randint(1, 3)):
        other = {
            person: thing if rng.random() < 0.6 else rng.choice(puzzle.things)
            for person, thing in state.items()
        }
        differences = "; ".join(
            f"{person}: {thing}, {'same' if other[person] == thing else f'not {other[person]}'}"
            for person, thing in state.items()
        )
        lines.append(f"{mark_unpredictable(f'Not {state_text(other)}:')} {differences}.")
    return "\n".join(lines)
