"""Judged solutions as HTML: steps coloured by score, votes, and critiques to open.

All text in a sample is untrusted (a model or a user wrote it) and goes through `escape`. Steps
count from 1 for the reader; the records count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genprm.evaluation.first_error import is_right, pair
from genprm.records import Critique, EvaluationRow, Judgement, StepJudgement, Votes
from genprm.report.plots import escape

TONES = {"correct": "good", "incorrect": "bad", "invalid": "none", None: "none"}
STATUS_TEXT = {
    "no_valid_critique": "no valid critique",
    "too_long": "too long for the context",
    "empty": "empty step",
    "deadline": "out of time",
    "not_scored": "not scored: after the first error",
    "error": "failed",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One solution as the critic judged it, with its true first error where that is known."""

    title: str
    problem: str
    steps: tuple[str, ...]
    judgement: Judgement
    first_error: int | None = None  # 0-based, -1 for none; None where nobody knows


def pick_samples(
    rows: Sequence[EvaluationRow], judgements: Sequence[Judgement], count: int = 6
) -> tuple[Sample, ...]:
    """A mixed choice, always the same: rows with and without error, judged right and wrong.

    The four kinds take turns (error found, error missed, correct passed, false alarm), each
    in the order of the rows, so that failures are shown as readily as successes.
    """
    kinds: dict[tuple[bool, bool], list[Sample]] = {
        (True, True): [], (True, False): [], (False, True): [], (False, False): []
    }  # fmt: skip
    for row, judgement in pair(rows, judgements):
        sample = Sample(
            f"{row.source} · {row.id}", row.problem, tuple(row.steps), judgement, row.first_error
        )
        kinds[row.first_error >= 0, is_right(row, judgement)].append(sample)
    longest = max(len(kind) for kind in kinds.values())
    turns = [kind[i] for i in range(longest) for kind in kinds.values() if i < len(kind)]
    return tuple(turns[:count])


def sample_html(sample: Sample) -> str:
    """One solution as an `<article>`."""
    judgement = sample.judgement
    named = source_text(judgement.first_error) if judgement.covered else "not judged in full"
    parts = [f"<strong>{escape(sample.title)}</strong>", f"<span>critic: {escape(named)}</span>"]
    if sample.first_error is not None:
        right = judgement.covered and judgement.first_error == sample.first_error
        parts.append(f"<span>truth: {source_text(sample.first_error)}</span>")
        parts.append(_badge("right" if right else "wrong", "good" if right else "bad"))
    if judgement.solution_score is not None:
        told = f"{judgement.aggregate} of step scores {judgement.solution_score:.2f}"
        parts.append(f"<span>{escape(told)}</span>")
    steps = "".join(
        _step(text, step, step.index == sample.first_error)
        for text, step in zip(sample.steps, judgement.steps, strict=True)
    )
    return (
        f'<article class="card sample"><header>{"".join(parts)}</header>'
        f'<p class="problem" dir="auto">{escape(sample.problem)}</p>'
        f'<ol class="steps">{steps}</ol></article>'
    )


def source_text(first_error: int) -> str:
    return "no error" if first_error < 0 else f"first error in step {first_error + 1}"


def _badge(text: str, tone: str) -> str:
    return f'<span class="badge {tone}">{escape(text)}</span>'


def _step(text: str, step: StepJudgement, is_truth: bool) -> str:
    known = step.score is not None
    style = f' style="--score:{100 * (step.score or 0):.0f}%"' if known else ""
    score = f"{step.score:.2f}" if step.score is not None else "–"
    tags = [_verdict(step), _votes(step.votes)]
    if is_truth:
        tags.append(_badge("the true first error", "none"))
    if step.reason:
        tags.append(f"<span>{escape(step.reason)}</span>")
    return (
        f'<li class="step{" scored" if known else ""}"{style}><div class="row">'
        f'<span class="number">{step.index + 1}</span>'
        f'<p class="text" dir="auto">{escape(text)}</p>'
        f'<span class="score" title="score: mean P(correct)">{score}</span></div>'
        f'<div class="meta">{"".join(tags)}</div>{_critiques(step.critiques)}</li>'
    )


def _verdict(step: StepJudgement) -> str:
    if step.status != "ok":
        return _badge(STATUS_TEXT.get(step.status, step.status), "none")
    mark = {"correct": "✓ ", "incorrect": "✗ "}.get(step.verdict or "", "")
    return _badge(f"{mark}{step.verdict}", TONES[step.verdict])


def _votes(votes: Votes) -> str:
    """A dot per vote (shapes differ, not only colours), with the counts in words."""
    counts = [
        (votes.correct, "correct"),
        (votes.incorrect, "incorrect"),
        (votes.invalid, "invalid"),
    ]
    told = ", ".join(f"{count} {name}" for count, name in counts if count)
    if not told:
        return ""
    dots = "".join(f'<i class="{TONES[name]}"></i>' * count for count, name in counts)
    dots = dots if sum(count for count, _ in counts) <= 64 else ""
    return f'<span class="votes" aria-hidden="true">{dots}</span><span>votes: {told}</span>'


def _critiques(critiques: Sequence[Critique] | None) -> str:
    if not critiques:
        return ""
    shown = "".join(_critique(critique) for critique in critiques)
    count = f"{len(critiques)} critique{'s' if len(critiques) > 1 else ''}"
    return f"<details><summary>{count}</summary>{shown}</details>"


def _critique(critique: Critique) -> str:
    told = [f"{critique.tokens} tokens"]
    if critique.p_correct is not None:
        told.insert(0, f"P(correct) {critique.p_correct:.2f}")
    if critique.forced:
        told.append("verdict forced: out of budget")
    tone = TONES[critique.verdict]
    return (
        f'<div class="critique {tone}">{_badge(critique.verdict, tone)} '
        f'<span class="told">{escape(", ".join(told))}</span>'
        f'<p dir="auto">{escape(critique.text.strip()) or "(no text)"}</p></div>'
    )
