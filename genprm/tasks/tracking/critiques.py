"""The rule writer for tracking: compares the state of a line with the true one, person by person.

It works out the state from the problem, then errs on purpose at a given rate, in place of a
fallible teacher. After a solution's first error its comparisons have no meaning.
"""

from __future__ import annotations

import random

from genprm.tasks.base import RuleCritique
from genprm.tasks.tracking.oracle import (
    Line,
    Scenario,
    answer_is_right,
    line_is_right,
    names,
    read_line,
    read_problem,
    read_state,
)


def critique(problem: str, steps: list[str], rng: random.Random, error_rate: float) -> RuleCritique:
    """Critique `steps[-1]` after the earlier steps; the verdict is wrong with probability
    `error_rate`.

    Raises:
        ValueError: the problem is not a tracking problem of a known scene.
    """
    scenario = read_problem(problem)
    err = rng.random() < error_rate
    line = read_line(scenario, steps)
    right = line_is_right(scenario, line)
    parts: list[str] = []
    state_right = True
    if line.state and line.position < len(scenario.states):
        true = scenario.states[line.position]
        state_right = all(names(thing, true[p]) for p, thing in line.state.items())
        missing = line.position == 0 and len(line.state) < len(true)
        state_right = state_right and not missing
        parts.append(_on_state(scenario, line, err and state_right == right, rng))
    if line.answer is not None:
        parts.append(_on_answer(scenario, line, err and state_right, rng))
    if not parts:
        parts.append("The step writes no state that follows from the swaps.")
    return RuleCritique(" ".join(parts), right != err)


def _on_state(scenario: Scenario, line: Line, err: bool, rng: random.Random) -> str:
    """`Swap 2: Bob and Eve. Bob had red, Eve had blue. Bob: blue, not green; ...`

    The pair comes first, in the words of the problem, so that a model can copy it.
    """
    true = scenario.states[line.position]
    if line.position:
        a, b = scenario.swaps[line.position - 1]
        before = scenario.states[line.position - 1]
        head = f"Swap {line.position}: {a} and {b}. {a} had {before[a]}, {b} had {before[b]}."
    else:
        head = "The start:"
    wrong = [p for p in true if not names(line.state.get(p, true[p]), true[p])]
    stray = rng.choice(list(line.state)) if err and not wrong else None
    parts = []
    for person, thing in true.items():
        claim = line.state.get(person)
        if claim is None:
            continue
        if person == stray:
            thing = rng.choice([t for t in true.values() if t != claim])
        elif (err and person in wrong) or names(claim, thing):
            thing = claim
        parts.append(f"{person}: {thing}, {'same' if thing == claim else f'not {claim}'}")
    return f"{head} {'; '.join(parts)}."


def _on_answer(scenario: Scenario, line: Line, err: bool, rng: random.Random) -> str:
    """`The step says red and (C). (C) lime. At the end Alice has lime. lime and red are ...`"""
    last = scenario.states[-1]
    if scenario.person is None:
        claims_by_person = read_state(line.answer or "", scenario)
        wrong = [p for p in last if not names(claims_by_person.get(p, ""), last[p])]
        stray = rng.choice(list(last)) if err and not wrong else None
        parts = []
        for person, thing in last.items():
            other = claims_by_person.get(person, "nothing")
            if person == stray:
                thing = rng.choice([t for t in last.values() if t != other])
            elif (err and person in wrong) or names(other, thing):
                thing = other
            parts.append(f"{person}: {thing}, {'same' if thing == other else f'not {other}'}")
        return f"The end: {'; '.join(parts)}."
    # From a letter to its thing, in the problem's own words: a small model finds the text after
    # something far more easily than the text before it, or after another word.
    thing = last[scenario.person]
    letter = (line.answer or "").strip("()")[:1]
    option = scenario.options.get(letter, "nothing")
    claim = None if line.claim is None else line.claim[1]
    if err and answer_is_right(scenario, line):
        thing = rng.choice([t for t in scenario.options.values() if t != thing])
    elif err:
        thing = option
        claim = claim and thing
    claims, compared = [f"({letter})"], [_compared(thing, option)]
    if claim is not None:
        claims.insert(0, claim)
        compared.insert(0, _compared(thing, thing if names(claim, thing) else claim))
    return (
        f"The step says {' and '.join(claims)}. ({letter}) {option}. "
        f"At the end {scenario.person} has {thing}. {', '.join(compared)}."
    )


def _compared(true: str, claim: str) -> str:
    return f"{true} and {claim} are {'the same' if true == claim else 'different'}"
