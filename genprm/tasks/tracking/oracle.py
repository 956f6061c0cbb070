"""The exact checker for tracking: reads the problem's text and names the first wrong step.

It measures; it labels nothing that is trained on. A line is right when it follows from the line
before it: the states it names are what the next swap makes of the states before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from genprm.tasks.tracking.scenes import PEOPLE, SCENES

_NAME = "|".join(PEOPLE)
_SWAP = re.compile(rf"(?:First|Then|Finally), ({_NAME}) and ({_NAME}) [^.]*\.")
_OPTION = re.compile(r"^\(([A-G])\) (.+?)\.?$", re.M)
_ANSWER = re.compile(r"So the answer is (.+?)\s*$", re.S)
_PAIR = re.compile(
    rf"\b({_NAME}|[A-G])(?::| has(?: the| a)?) ([^,.;]+?)(?: (?:ball|present))?(?=[,.;]|$)"
)
_SAID = re.compile(rf"At the end of the \w+, ({_NAME}) (?:has|is \w+)(?: with)? (.+)")
_FIRST_SWAP = re.compile(rf"^({_NAME}|[A-G]) and ({_NAME}|[A-G]) ")


@dataclass(frozen=True, slots=True)
class Told:
    """A tracking problem as its text tells it."""

    states: tuple[dict[str, str], ...]  # at the start and after each swap
    swaps: tuple[tuple[str, str], ...]
    asked: str | None
    options: dict[str, str]  # letter -> thing


def _scene_of(text: str) -> re.Pattern[str]:
    for scene in SCENES:
        if scene.intro in text:
            before, after = scene.has.split("{}")
            pattern = re.escape(before).replace(r"a\ ", r"an?\ ")
            if after:  # gifts are called presents and balls, as BIG-Bench mixes them
                after = r"\ (?:ball|present)"
            return re.compile(rf"({_NAME}) {pattern}(.+?){after}(?=,|\.|$)")
    raise ValueError("not a tracking problem")


def read_problem(text: str) -> Told:
    """Read a problem's text.

    Raises:
        ValueError: the text is not a tracking problem of a known scene.
    """
    first, _, rest = text.partition("\n")
    start = {m[1]: m[2] for m in _scene_of(first).finditer(first.partition(": ")[2])}
    swaps = tuple((m[1], m[2]) for m in _SWAP.finditer(rest))
    if not start or not swaps or any(p not in start for swap in swaps for p in swap):
        raise ValueError("not a tracking problem")
    states = [dict(start)]
    for a, b in swaps:
        state = dict(states[-1])
        state[a], state[b] = state[b], state[a]
        states.append(state)
    options = {m[1]: re.sub(r" (ball|present)$", "", m[2]) for m in _OPTION.finditer(rest)}
    asked = None
    if options:
        found = re.search(rf"At the end of the \w+, ({_NAME}) ", rest)
        if found is None:
            raise ValueError("not a tracking problem")
        asked = found[1]
    return Told(tuple(states), swaps, asked, options)


def read_state(step: str, told: Told) -> dict[str, str]:
    """The state a step writes, by full names; empty where it writes none."""
    people = {p[0]: p for p in told.states[0]} | {p: p for p in told.states[0]}
    return {people[m[1]]: m[2].strip() for m in _PAIR.finditer(step) if m[1] in people}


def names(written: str, true: str) -> bool:
    """Whether `written` names the thing `true`: itself, or some of a title's words."""
    said, meant = _words(written), _words(true)
    if meant & {"left", "right", "center"}:  # "midfielder" and "left" could be several
        return said == meant
    return bool(said) and said <= meant


def _words(name: str) -> set[str]:
    return set(re.split(r"[\s-]+", name.lower().strip())) - {"", "the", "of"}


@dataclass(frozen=True, slots=True)
class Line:
    """One step, read: the state it writes, which state it should be, and its answer if any."""

    written: dict[str, str]
    position: int  # index into Told.states that the written state claims
    answer: str | None
    said: tuple[str, str] | None  # "Alice is dancing with Lola" in the last line


def read_line(told: Told, steps: list[str]) -> Line:
    """Read the last of `steps`; the number of states written before it says which swap it is."""
    step = steps[-1]
    match = _ANSWER.search(step)
    answer = match[1].rstrip(".").strip() if match else None
    body = step[: match.start()] if match else step
    said = None
    if found := _SAID.search(body):
        thing = re.sub(r"^the ", "", found[2].strip().rstrip("."))
        said = (found[1], re.sub(r" (ball|present)$", "", thing))
        body = body[: found.start()]
    written = read_state(body, told)
    earlier = [read_state(_ANSWER.sub("", s), told) for s in steps[:-1]]
    position = sum(bool(state) for state in earlier)
    if _FIRST_SWAP.match(steps[0]):  # no line for the start
        position += 1
    return Line(written, position, answer, said)


def line_is_right(told: Told, line: Line) -> bool:
    """Whether the last step follows, all steps before it being right."""
    if not line.written and line.answer is None:
        return False
    if line.written:
        if line.position >= len(told.states):
            return False
        true = told.states[line.position]
        full = len(line.written) == len(true) or line.position > 0
        if not full or any(not names(thing, true[p]) for p, thing in line.written.items()):
            return False
    if line.answer is None:
        return line.said is None
    return answer_is_right(told, line)


def answer_is_right(told: Told, line: Line) -> bool:
    """Whether the answer, and what is said before it, fit the final state."""
    last = told.states[-1]
    done = line.position + bool(line.written) >= len(told.states)
    if line.said is not None and not names(line.said[1], last.get(line.said[0], "")):
        return False
    if told.asked is None:
        said = read_state(line.answer or "", told)
        return done and said.keys() == last.keys() and all(names(said[p], last[p]) for p in last)
    letter = re.fullmatch(r"\(?([A-G])\)?.*", line.answer or "")
    return done and letter is not None and told.options.get(letter[1]) == last[told.asked]


def first_error(problem: str, steps: list[str]) -> int:
    """Index of the first wrong step, -1 if all are right.

    Raises:
        ValueError: the problem is not a tracking problem of a known scene.
    """
    told = read_problem(problem)
    for index in range(len(steps)):
        line = read_line(told, steps[: index + 1])
        last = index == len(steps) - 1
        if not line_is_right(told, line) or (last and line.answer is None):
            return index
    return -1
