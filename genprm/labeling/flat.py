"""Flat Monte Carlo labelling (Math-Shepherd): k rollouts from every prefix of a solution.

    value_t = right rollouts / k          label_t = value_t > 0

`flat_hard` and `flat_soft` sample alike and give the same values and labels; the estimator's name
tells later stages whether to weight rows by value (soft) or not (hard).
"""

from __future__ import annotations

import asyncio
import time

from genprm.concurrent import together
from genprm.config import LabelConfig
from genprm.engines.base import Engine, Usage
from genprm.errors import ConfigError, InputError, PromptTooLongError
from genprm.labeling.labels import labels_from_values, unlabelled_reason
from genprm.labeling.rollouts import RolloutCounts, rollout_prefix
from genprm.prompts import PromptPack
from genprm.records import LabelCost, LabelledSolution, Solution
from genprm.seeds import derive_seed
from genprm.verifiers import grade, verifier_for


async def label_solution(
    engine: Engine, pack: PromptPack, solution: Solution, config: LabelConfig, seed: int
) -> LabelledSolution:
    """Estimate a value for every step, all prefixes at once, and derive the labels.

    A complete solution needs no rollouts at its last step: that value is the outcome itself.
    Extra columns: `outcomes` (per step, per rollout: right, wrong or null for invalid), `invalid`
    (per step), `value_reasons` (per step, null where there is a value) and `unlabelled_reason`
    (null for a labelled solution; otherwise every label is null and `first_error` is -1).

    Raises:
        InputError: no answer to verify against, or an empty step.
        ConfigError: the engine cannot continue a given prefix.
        EngineError: from the engine; no rollout of this solution is left running.
    """
    _check(engine, solution)
    started = time.monotonic()
    final, steps = await _final_outcome(solution), solution.steps
    open_steps = len(steps) if final is None else len(steps) - 1
    counts = await _all_prefixes(engine, pack, solution, open_steps, config, seed)
    sampled = sum(c.rollouts for c in counts)
    if final is not None:
        counts = [*counts, RolloutCounts((final,))]
    usage = sum((c.usage for c in counts), Usage())
    values = [c.value for c in counts]
    labels, first_error = labels_from_values(values)
    return LabelledSolution(
        **solution.row()
        | {
            "values": values,
            "wins": [c.wins for c in counts],
            "rollouts": [c.rollouts for c in counts],
            "labels": labels,
            "first_error": first_error,
            "estimator": config.estimator,
            "cost": LabelCost(
                rollouts=sampled,
                completion_tokens=usage.completion_tokens,
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                seconds=time.monotonic() - started,
            ),
            "outcomes": [list(c.outcomes) for c in counts],
            "invalid": [c.invalid for c in counts],
            "value_reasons": [c.why_no_value() for c in counts],
            "unlabelled_reason": unlabelled_reason(values),
        }
    )


def _check(engine: Engine, solution: Solution) -> None:
    if not engine.capabilities.prefill:
        raise ConfigError(
            f"engine {engine.name!r} cannot continue a partial solution (no prefill), "
            "which rollouts need"
        )
    for step, text in enumerate(solution.steps):
        if not text.strip():
            raise InputError(f"solution {solution.id!r}: step {step} is empty")


async def _final_outcome(solution: Solution) -> bool | None:
    """Whether the solution is right; None if its last step states no answer (it is unfinished),
    or if that cannot be decided."""
    if solution.outcome is not None:
        return solution.outcome
    verifier = verifier_for(solution)
    if solution.final_answer is not None:
        return await asyncio.to_thread(verifier.check, solution.final_answer, solution)
    return (await asyncio.to_thread(grade, verifier, solution, solution.steps[-1:])).correct


async def _all_prefixes(
    engine: Engine,
    pack: PromptPack,
    solution: Solution,
    open_steps: int,
    config: LabelConfig,
    seed: int,
) -> list[RolloutCounts]:
    """Roll out the prefixes that end in steps 0 to open_steps - 1, concurrently."""

    async def one(step: int) -> RolloutCounts:
        request_seed = derive_seed(seed, "rollout", solution.id, step)
        prefix = solution.steps[: step + 1]
        try:
            return await rollout_prefix(engine, pack, solution, prefix, config, request_seed)
        except PromptTooLongError as error:
            return RolloutCounts((), reason=str(error))

    return await together(one(step) for step in range(open_steps))
