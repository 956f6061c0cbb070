"""Unlimited tracking problems from seeds, with two forms of the final question.

`assignment` asks what everyone has at the end. `person` asks for one person's thing with options,
as BIG-Bench does; there most slips do not change the answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from genprm.tasks.tracking.scenes import PEOPLE, SCENES, Scene

# Numbers of people and swaps; BIG-Bench has as many swaps as people.
SIZES = {
    "standard": ((3, 3), (3, 3), (4, 4), (5, 5), (5, 5)),
    "hard": ((7, 7), (7, 9), (7, 11)),
}
FORMS = ("assignment", "person")


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A drawn problem before it is put into words; its question is about `person`, or everyone."""

    scene: Scene
    people: tuple[str, ...]
    things: tuple[str, ...]
    swaps: tuple[tuple[str, str], ...]
    person: str | None  # None: everyone

    def states(self) -> list[dict[str, str]]:
        """What each person holds at the start and after each swap; len(swaps) + 1 entries."""
        state = dict(zip(self.people, self.things, strict=True))
        states = [dict(state)]
        for a, b in self.swaps:
            state[a], state[b] = state[b], state[a]
            states.append(dict(state))
        return states

    def answer(self) -> str:
        """`(B)` for the one-person form, `Alice: red, Bob: blue` for the whole assignment."""
        last = self.states()[-1]
        if self.person is None:
            return ", ".join(f"{person}: {last[person]}" for person in self.people)
        return f"({'ABCDEFG'[self.things.index(last[self.person])]})"


def draw(rng: random.Random, variant: str = "standard", form: str = "mixed") -> Puzzle:
    """One puzzle. `form` is assignment, person, or mixed (seven in ten are assignment)."""
    scene = rng.choice(SCENES)
    count, swaps = rng.choice(SIZES[variant])
    people = PEOPLE[:count]
    pairs = []
    for _ in range(swaps):
        a, b = rng.sample(people, 2)
        pairs.append((a, b))
    if form == "mixed":
        form = "assignment" if rng.random() < 0.7 else "person"
    person = rng.choice(people) if form == "person" else None
    return Puzzle(scene, people, tuple(rng.sample(scene.things, count)), tuple(pairs), person)


def _listed(items: list[str]) -> str:
    return ", ".join(items[:-1]) + ", and " + items[-1]


def text_of(puzzle: Puzzle) -> str:
    """The text of the problem."""
    scene, people = puzzle.scene, puzzle.people
    start = _listed(
        [f"{p} {scene.has.format(t)}" for p, t in zip(people, puzzle.things, strict=True)]
    )
    words = ["First", *["Then"] * (len(puzzle.swaps) - 2), "Finally"]
    swaps = " ".join(
        f"{word}, {a} and {b} {scene.verb}."
        for word, (a, b) in zip(words, puzzle.swaps, strict=True)
    )
    if puzzle.person is None:
        question = f"{scene.end}, what does everyone have?"
    else:
        before = scene.end_has.split("{}")[0].rstrip()
        options = "\n".join(
            f"({letter}) {thing}{scene.noun}."
            for letter, thing in zip("ABCDEFG", puzzle.things, strict=False)
        )
        question = f"{scene.end}, {puzzle.person} {before}\nOptions:\n{options}"
    return (
        f"{_listed(list(people))} {scene.intro}. {scene.start}: {start}.\n"
        f"{scene.middle} {swaps} {question}"
    )
