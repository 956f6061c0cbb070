"""`genprm solve`: solutions of problems, sampled from the policy."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.stages.actor import RowFailure, RowWork
from cluster.stages.models import policy_source
from cluster.stages.report import Report
from cluster.stages.run import Stage, run_stage
from genprm.config.root import Config
from genprm.data import sources
from genprm.engines.base import Engine
from genprm.policy import solve_problem
from genprm.records import Problem, Row


def solve(config: Config, problems: Sequence[str], out: str) -> Report:
    """Sample solutions of problems with the policy: one row per solution.

    Args:
        problems: files, folders, URIs, `hub:NAME` or `task:NAME?n=..&seed=..`.

    Raises:
        InputError, ConfigError, StageError: see `run_stage`, for this and all other stages.
    """
    return run_stage(
        solve_stage(config),
        config,
        lambda bad: sources.problems(problems, bad),
        " ".join(problems),
        out,
    )


def solve_stage(config: Config) -> Stage:
    """The stage that turns a problem into its solutions."""
    return Stage(
        name="solve",
        decides=config.decides("solve"),
        model=policy_source,
        make=_make_solver,
        sequences_per_row=config.solve.samples_per_problem,
    )


async def _make_solver(config: Config, engine: Engine | None) -> RowWork:
    assert engine is not None
    pack = config.prompt_pack()

    async def work(row: Row) -> list[Row]:
        problem = Problem.model_validate(row)
        solutions = await solve_problem(
            engine, pack, problem, config.solve, config.seed, config.splitter
        )
        if not solutions:
            raise RowFailure(f"none of {config.solve.samples_per_problem} samples has a step")
        return [solution.row() for solution in solutions]

    return work
