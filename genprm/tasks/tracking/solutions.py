"""Written solutions: the start, one line per swap, the answer; with slips at a given rate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from genprm.tasks.tracking.problems import Puzzle

TYPICAL_PEOPLE = 5  # a puzzle with so many has the given slip rate


@dataclass(frozen=True, slots=True)
class Style:
    """How one writer writes; drawn once per solution."""

    verb: str | None  # None: the state alone
    initials: bool  # A: red, B: blue
    start: str  # "At the start: ", "" or no start line (None in drawing)
    show_start: bool
    join_last: bool  # the answer is on the last swap's line
    plain_end: bool  # only "So the answer is ..."
    short: bool  # "Gatsby" for "The Great Gatsby"
    order: tuple[str, ...]  # of people in a state
    stop: str  # "." or "" after a state
    lists: str  # people after a swap: "all", those "touched" by a swap so far, or the "pair"
    pair_first: bool  # the two who swapped, then the others


def draw_style(puzzle: Puzzle, rng: random.Random) -> Style:
    """One writer's habits."""
    initials = rng.random() < 0.15
    order = puzzle.people
    if rng.random() < 0.1:
        order = tuple(rng.sample(order, len(order)))
    verb = None if initials and rng.random() < 0.7 else rng.choice(puzzle.scene.verbs)
    return Style(
        verb=verb,
        initials=initials,
        start="" if verb is None else "At the start: ",
        show_start=verb is None or rng.random() < 0.93,
        join_last=rng.random() < 0.15,
        plain_end=rng.random() < 0.25,
        short=rng.random() < 0.35,
        order=order,
        stop="" if verb is None and rng.random() < 0.7 else ".",
        lists=rng.choices(("all", "touched", "pair"), (0.85, 0.1, 0.05))[0],
        pair_first=rng.random() < (0.6 if initials else 0.1),
    )


def shortened(thing: str) -> str:
    """The short form of a long name: `Gatsby` for `The Great Gatsby`."""
    words = thing.removeprefix("The ").split(" of ")[0].split()
    return words[-1] if thing.startswith("The ") else words[0]


def state_text(
    state: dict[str, str], style: Style | None = None, people: Sequence[str] | None = None
) -> str:
    """`Alice: red, Bob: blue`, with the names and order of a style; `people` limits it to them."""
    if style is None:
        return ", ".join(f"{person}: {thing}" for person, thing in state.items())
    listed = []
    for person in style.order if people is None else people:
        thing = state[person]
        if style.short and (thing.startswith("The ") or " of " in thing):
            thing = shortened(thing)
        listed.append(f"{person[0] if style.initials else person}: {thing}")
    return ", ".join(listed)


def slipped(before: dict[str, str], swap: tuple[str, str], rng: random.Random) -> dict[str, str]:
    """A wrong state after `swap`, by one of six kinds of mistakes."""
    a, b = swap
    right = dict(before)
    right[a], right[b] = before[b], before[a]
    people = list(before)
    state = dict(right)
    kind = rng.choice(("forgotten", "wrong pair", "half", "stray", "exchange", "rotate"))
    if kind == "forgotten":
        state = dict(before)
    elif kind == "wrong pair":
        c = rng.choice([p for p in people if p not in swap])
        state = dict(before)
        first = rng.choice(swap)
        state[first], state[c] = before[c], before[first]
    elif kind == "half":
        person = rng.choice(swap)
        state[person] = before[person]
    elif kind == "stray":
        state[rng.choice(people)] = rng.choice(list(before.values()))
    elif kind == "exchange":
        c, d = rng.sample(people, 2)
        state[c], state[d] = state[d], state[c]
    else:
        c = rng.choice([p for p in people if p not in swap])
        state[a], state[b], state[c] = before[b], before[c], before[a]
    return state if state != right else dict(before)


def write_solution(puzzle: Puzzle, rng: random.Random, slip_rate: float) -> list[str]:
    """One solution as steps. With five people each line slips with probability `slip_rate`; the
    rate grows with the square of their number, because many people are easily mixed up.
    """
    style = draw_style(puzzle, rng)
    rate = min(slip_rate * (len(puzzle.people) / TYPICAL_PEOPLE) ** 2, 1.0)
    state = puzzle.states()[0]
    order = style.order
    touched: set[str] = set()
    steps = []
    if style.show_start:
        if rng.random() < rate:
            a, b = rng.sample(puzzle.people, 2)
            state[a], state[b] = state[b], state[a]
        steps.append(f"{style.start}{state_text(state, style)}{style.stop}")
    for a, b in puzzle.swaps:
        if rng.random() < rate:
            state = slipped(state, (a, b), rng)
        else:
            state[a], state[b] = state[b], state[a]
        names = (a[0], b[0]) if style.initials else (a, b)
        head = f"{names[0]} and {names[1]} {style.verb}: " if style.verb else ""
        touched |= {a, b}
        if style.pair_first:
            order = (a, b, *(person for person in order if person not in (a, b)))
        shown = {"all": set(order), "touched": touched, "pair": {a, b}}[style.lists]
        listed = [person for person in order if person in shown]
        steps.append(f"{head}{state_text(state, style, listed)}{style.stop}")
    end = _answer_line(puzzle, state, style, rng, rng.random() < rate)
    if style.join_last:
        steps[-1] = f"{steps[-1]} {end}"
    else:
        steps.append(end)
    return steps


def _answer_line(
    puzzle: Puzzle, state: dict[str, str], style: Style, rng: random.Random, slip: bool
) -> str:
    if puzzle.person is None:
        if slip:
            a, b = rng.sample(puzzle.people, 2)
            state = slipped(state, (a, b), rng)
        return f"So the answer is {state_text(state)}"
    thing = rng.choice(puzzle.things) if slip else state[puzzle.person]
    letter = rng.choice(puzzle.things) if slip and rng.random() < 0.5 else thing
    option = f"({'ABCDEFG'[puzzle.things.index(letter)]})"
    if style.plain_end or style.join_last:
        return f"So the answer is {option}"
    claim = puzzle.scene.end_has.format(thing)
    return f"{puzzle.scene.end}, {puzzle.person} {claim}. So the answer is {option}"
