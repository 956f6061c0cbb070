"""Labelling one solution: an estimator samples and values its steps; the row records the result
and its cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from genprm.config.label import LabelConfig
from genprm.engines.base import Engine
from genprm.errors import ConfigError, InputError
from genprm.labeling.adaptive import ROUND_ROLLOUTS, adaptive
from genprm.labeling.binary_search import binary_search
from genprm.labeling.flat import first_zero, flat
from genprm.labeling.labels import LABEL_COLUMNS, labels_from_flags
from genprm.labeling.relative import (
    ADVANTAGE_WEIGHT,
    MIN_RATIO,
    relative_effective,
    relative_progress,
)
from genprm.labeling.rollouts import RolloutCounts, second_opinions
from genprm.labeling.sampler import PrefixSampler
from genprm.labeling.step_values import Estimator
from genprm.prompts.packs import PromptPack
from genprm.records import LabelCost, LabelledSolution, Solution
from genprm.steps import SPLITTERS
from genprm.util.stats import wilson
from genprm.verifiers import verifier_for
from genprm.verifiers.base import Grade

ESTIMATORS: dict[str, Estimator] = {
    "flat_hard": flat,
    "flat_soft": flat,
    "first_zero": first_zero,
    "relative_progress": relative_progress,
    "relative_effective": relative_effective,
    "binary_search": binary_search,
    "adaptive": adaptive,
}
# The settings that decide an estimator's labels, besides the common ones; rows record both.
SETTINGS: dict[str, Callable[[LabelConfig], dict[str, Any]]] = {
    "relative_progress": lambda config: {"min_ratio": MIN_RATIO},
    "relative_effective": lambda config: {"advantage_weight": ADVANTAGE_WEIGHT},
    "adaptive": lambda config: {"round_rollouts": ROUND_ROLLOUTS, **config.adaptive.model_dump()},
}
COMMON_SETTINGS = ("rollouts", "partial", "reuse", "temperature", "top_p", "max_tokens")


async def label_solution(
    engine: Engine,
    pack: PromptPack,
    solution: Solution,
    config: LabelConfig,
    seed: int,
    splitter: str = "lines",
) -> LabelledSolution:
    """Estimate values of the steps of one solution and derive its labels. Rollouts go on in the
    form of `splitter`.

    A complete solution needs no rollouts at its last step: that value is the outcome itself. Where
    the first error stays unknown, `unlabelled_reason` says why, `first_error` is -1 and every label
    null or, with `config.partial`, those from the first uncertain step on. Columns of an earlier
    labelling are dropped.

    Raises:
        InputError: no answer to verify against, or an empty step.
        ConfigError: the engine cannot continue a given prefix.
        EngineError: from the engine; no rollout of this solution is left running.
    """
    _check(engine, solution, splitter)
    started = time.monotonic()
    outcome = await _final_outcome(solution)
    own = None if outcome and not config.second_verifier else _own_answer(solution)
    sampler = PrefixSampler(engine, pack, solution, config, seed, outcome, own, splitter)
    estimate = await ESTIMATORS[config.estimator](sampler, config)
    labels, first_error = labels_from_flags(estimate.flags, config.partial)
    await _compare_own_answer(sampler, config)
    counts = [sampler.counts(prefix) for prefix in range(1, sampler.steps + 1)]
    pools = sampler.pools[1:]
    settings = {name: getattr(config, name) for name in COMMON_SETTINGS}
    if config.estimator in SETTINGS:
        settings |= SETTINGS[config.estimator](config)
    borrowed = {} if config.reuse == "none" else {"borrowed": [pool.borrowed for pool in pools]}
    return LabelledSolution(
        **{k: v for k, v in solution.row().items() if k not in LABEL_COLUMNS}
        | {
            "values": estimate.values,
            "wins": [c.wins for c in counts],
            "rollouts": [c.rollouts for c in counts],
            "labels": labels,
            "first_error": first_error,
            "estimator": config.estimator,
            "cost": LabelCost.of(sampler.usage, time.monotonic() - started),
            "intervals": [_interval(sampler, prefix) for prefix in range(1, sampler.steps + 1)],
            "estimator_settings": settings,
            "outcomes": [pool.own for pool in pools],
            "invalid": [c.invalid for c in counts],
            "value_reasons": [_why_no_value(c) for c in counts],
            "unlabelled_reason": estimate.reason,
        }
        | borrowed
        | sampler.watch.columns()
        | estimate.details
    )


async def _compare_own_answer(sampler: PrefixSampler, config: LabelConfig) -> None:
    """Have the second verifier judge the solution's own answer too: it decides the last step."""
    if config.second_verifier is None:
        return
    solution, own = sampler.solution, Grade(sampler.own_answer, sampler.outcome)
    for second in await asyncio.to_thread(second_opinions, config.second_verifier, solution, [own]):
        sampler.watch.compare(sampler.steps, own.answer, own.correct, second)


def _interval(sampler: PrefixSampler, prefix: int) -> list[float] | None:
    """Bounds of a value; a finished solution's last one is not estimated."""
    counts = sampler.counts(prefix)
    if prefix == sampler.steps and sampler.outcome is not None:
        return [float(sampler.outcome)] * 2
    if counts.value is None:
        return None
    bounds = wilson(counts.wins, counts.rollouts)
    return None if bounds is None else list(bounds)


def _why_no_value(counts: RolloutCounts) -> str | None:
    return "not rolled out" if not counts.rollouts and not counts.reason else counts.why_no_value()


def _check(engine: Engine, solution: Solution, splitter: str) -> None:
    if not engine.capabilities.prefill:
        raise ConfigError(
            f"engine {engine.name!r} cannot continue a partial solution (no prefill), "
            "which rollouts need"
        )
    for step, text in enumerate(solution.steps):
        if not text.strip():
            raise InputError(f"solution {solution.id!r}: step {step} is empty")
    if solution.tests and not SPLITTERS[splitter].keeps_indentation:
        raise InputError(
            f"solution {solution.id!r} is code: its steps need a splitter that keeps indentation "
            "(splitter: code)"
        )


def _own_answer(solution: Solution) -> str | None:
    """The answer with which the solution ends; None for a program."""
    if solution.tests:
        return None
    if solution.final_answer is not None:
        return solution.final_answer
    return _last_answer(solution)


def _last_answer(solution: Solution) -> str | None:
    """The whole solution's answer, if the last step states it, alone or as the end of what earlier
    steps begin: "The answer is:" and "24" may be two steps. None if the solution goes on after its
    answer."""
    extract, steps = verifier_for(solution).extract, solution.steps
    answer = extract(steps)
    if answer is None or extract(steps[-1:]) is not None:
        return answer
    return answer if answer != extract(steps[:-1]) else None


async def _final_outcome(solution: Solution) -> bool | None:
    """Whether the solution is right; None if its last step states no answer, so that it is
    unfinished, or if the answer cannot be judged."""
    if solution.outcome is not None:
        return solution.outcome
    verifier = verifier_for(solution)
    if verifier.name == "code":  # the text of a program does not show whether it is complete
        return None
    answer = _own_answer(solution)
    return None if answer is None else await asyncio.to_thread(verifier.check, answer, solution)
