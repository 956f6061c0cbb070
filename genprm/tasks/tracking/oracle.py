"""The exact checker for tracking: reads the problem's text and finds the first wrong step.

It is for measuring and labels no training rows. A line is right if the state that it writes is the
true state after the next swap.
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
_CLAIM = re.compile(rf"At the end of the \w+, ({_NAME}) (?:has|is \w+)(?: with)? (.+)")
_FIRST_SWAP = re.compile(rf"^({_NAME}|[A-G]) and ({_NAME}|[A-G]) ")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A tracking problem, read from its text."""

    states: tuple[dict[str, str], ...]  # at the start and after each swap
    swaps: tuple[tuple[str, str], ...]
    person: str | None  # the question is about; None: everyone
    options: dict[str, str]  # letter -> thing


def _scene_of(text: str) -> re.Pattern[str]:
    for scene in SCENES:
        if scene.intro in text:
            before, after = scene.has.split("{}")
            pattern = re.escape(before).replace(r"a\ ", r"an?\ ")
            if after:  # BIG-Bench mixes presents and balls
                after = r"\ (?:ball|present)"
            return re.compile(rf"({_NAME}) {pattern}(.+?){after}(?=,|\.|$)")
    raise ValueError("not a tracking problem")


def read_problem(text: str) -> Scenario:
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
    person = None
    if options:
        question = re.search(rf"At the end of the \w+, ({_NAME}) ", rest)
        if question is None:
            raise ValueError("not a tracking problem")
        person = question[1]
    return Scenario(tuple(states), swaps, person, options)


def read_state(step: str, scenario: Scenario) -> dict[str, str]:
    """The state that a step writes, by full names; empty if it writes none."""
    people = {p[0]: p for p in scenario.states[0]} | {p: p for p in scenario.states[0]}
    return {people[m[1]]: m[2].strip() for m in _PAIR.finditer(step) if m[1] in people}


def names(written: str, true: str) -> bool:
    """Whether `written` names the thing `true`: in full, or by some of a title's words."""
    words, all_words = _words(written), _words(true)
    if all_words & {"left", "right", "center"}:  # "midfielder" and "left" could be several
        return words == all_words
    return bool(words) and words <= all_words


def _words(name: str) -> set[str]:
    return set(re.split(r"[\s-]+", name.lower().strip())) - {"", "the", "of"}


@dataclass(frozen=True, slots=True)
class Line:
    """The content of one step."""

    state: dict[str, str]  # as the step writes it; empty if it writes none
    position: int  # index into Scenario.states of the state that it should be
    answer: str | None
    claim: tuple[str, str] | None  # person and thing of "Alice is dancing with Lola"


def read_line(scenario: Scenario, steps: list[str]) -> Line:
    """Read the last of `steps`. The number of states before it decides which swap it is about."""
    step = steps[-1]
    match = _ANSWER.search(step)
    answer = match[1].rstrip(".").strip() if match else None
    body = step[: match.start()] if match else step
    claim = None
    if claim_match := _CLAIM.search(body):
        thing = re.sub(r"^the ", "", claim_match[2].strip().rstrip("."))
        claim = (claim_match[1], re.sub(r" (ball|present)$", "", thing))
        body = body[: claim_match.start()]
    state = read_state(body, scenario)
    earlier = [read_state(_ANSWER.sub("", s), scenario) for s in steps[:-1]]
    position = sum(bool(earlier_state) for earlier_state in earlier)
    if _FIRST_SWAP.match(steps[0]):  # no line for the start
        position += 1
    return Line(state, position, answer, claim)


def line_is_right(scenario: Scenario, line: Line) -> bool:
    """Whether a step is right if all steps before it are."""
    if not line.state and line.answer is None:
        return False
    if line.state:
        if line.position >= len(scenario.states):
            return False
        true = scenario.states[line.position]
        full = len(line.state) == len(true) or line.position > 0
        if not full or any(not names(thing, true[p]) for p, thing in line.state.items()):
            return False
    if line.answer is None:
        return line.claim is None
    return answer_is_right(scenario, line)


def answer_is_right(scenario: Scenario, line: Line) -> bool:
    """Whether the answer, and the claim before it, agree with the final state."""
    last = scenario.states[-1]
    done = line.position + bool(line.state) >= len(scenario.states)
    if line.claim is not None and not names(line.claim[1], last.get(line.claim[0], "")):
        return False
    if scenario.person is None:
        state = read_state(line.answer or "", scenario)
        return done and state.keys() == last.keys() and all(names(state[p], last[p]) for p in last)
    letter = re.fullmatch(r"\(?([A-G])\)?.*", line.answer or "")
    return done and letter is not None and scenario.options.get(letter[1]) == last[scenario.person]


def first_error(problem: str, steps: list[str]) -> int:
    """Index of the first wrong step, -1 if all are right.

    Raises:
        ValueError: the problem is not a tracking problem of a known scene.
    """
    scenario = read_problem(problem)
    for index in range(len(steps)):
        line = read_line(scenario, steps[: index + 1])
        last = index == len(steps) - 1
        if not line_is_right(scenario, line) or (last and line.answer is None):
            return index
    return -1
