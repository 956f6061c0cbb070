"""The rule writer for tracking: what the swap makes of the line before, person by person.

It works out the state from the problem, compares, then errs on purpose at a given rate, so that it
stands in for a fallible teacher. After a solution's first error its comparisons mean nothing.
"""

from __future__ import annotations

import random

from genprm.tasks.base import RuleCritique
from genprm.tasks.tracking.oracle import (
    Line,
    Told,
    answer_is_right,
    line_is_right,
    names,
    read_line,
    read_problem,
    read_state,
)


def critique(problem: str, steps: list[str], rng: random.Random, error_rate: float) -> RuleCritique:
    """Critique `steps[-1]` given what comes before it; wrong with probability `error_rate`."""
    told = read_problem(problem)
    err = rng.random() < error_rate
    line = read_line(told, steps)
    right = line_is_right(told, line)
    parts: list[str] = []
    state_right = True
    if line.written and line.position < len(told.states):
        true = told.states[line.position]
        state_right = all(names(thing, true[p]) for p, thing in line.written.items())
        missing = line.position == 0 and len(line.written) < len(true)
        state_right = state_right and not missing
        parts.append(_on_state(told, line, err and state_right == right, rng))
    if line.answer is not None:
        parts.append(_on_answer(told, line, err and state_right, rng))
    if not parts:
        parts.append("The step writes no state that follows from the swaps.")
    return RuleCritique(" ".join(parts), right != err)


def _on_state(told: Told, line: Line, err: bool, rng: random.Random) -> str:
    """`Swap 2: Bob and Eve. Bob had red, Eve had blue. Bob: blue, not green; ...`

    The pair stands first, as the problem has it, so that it is copied and not put together.
    """
    true = told.states[line.position]
    if line.position:
        a, b = told.swaps[line.position - 1]
        before = told.states[line.position - 1]
        head = f"Swap {line.position}: {a} and {b}. {a} had {before[a]}, {b} had {before[b]}."
    else:
        head = "The start:"
    wrong = [p for p in true if not names(line.written.get(p, true[p]), true[p])]
    stray = rng.choice(list(line.written)) if err and not wrong else None
    told_parts = []
    for person, thing in true.items():
        said = line.written.get(person)
        if said is None:
            continue
        if person == stray:
            thing = rng.choice([t for t in true.values() if t != said])
        elif (err and person in wrong) or names(said, thing):
            thing = said
        told_parts.append(f"{person}: {thing}, {'same' if thing == said else f'not {said}'}")
    return f"{head} {'; '.join(told_parts)}."


def _on_answer(told: Told, line: Line, err: bool, rng: random.Random) -> str:
    """`The step says red and (C). (C) lime. At the end Alice has lime. lime and red are ...`"""
    last = told.states[-1]
    if told.asked is None:
        said = read_state(line.answer or "", told)
        wrong = [p for p in last if not names(said.get(p, ""), last[p])]
        stray = rng.choice(list(last)) if err and not wrong else None
        parts = []
        for person, thing in last.items():
            other = said.get(person, "nothing")
            if person == stray:
                thing = rng.choice([t for t in last.values() if t != other])
            elif (err and person in wrong) or names(other, thing):
                thing = other
            parts.append(f"{person}: {thing}, {'same' if thing == other else f'not {other}'}")
        return f"The end: {'; '.join(parts)}."
    # From a letter to its thing, and in the problem's own words: a small model finds what follows
    # something far more easily than what stands before it, or behind another word.
    thing = last[told.asked]
    letter = (line.answer or "").strip("()")[:1]
    chosen = told.options.get(letter, "nothing")
    spoken = None if line.said is None else line.said[1]
    if err and answer_is_right(told, line):
        thing = rng.choice([t for t in told.options.values() if t != thing])
    elif err:
        thing = chosen
        spoken = spoken and thing
    claims, compared = [f"({letter})"], [_compared(thing, chosen)]
    if spoken is not None:
        claims.insert(0, spoken)
        compared.insert(0, _compared(thing, thing if names(spoken, thing) else spoken))
    return (
        f"The step says {' and '.join(claims)}. ({letter}) {chosen}. "
        f"At the end {told.asked} has {thing}. {', '.join(compared)}."
    )


def _compared(true: str, said: str) -> str:
    return f"{true} and {said} are {'the same' if true == said else 'different'}"
