"""Early stopping: critiques in rounds, until those still to come cannot change a verdict.

How votes are settled and how large a round is are definitions of `genprm.scoring.voting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from genprm.records import Critique, Votes
from genprm.scoring.judging import Judging
from genprm.scoring.voting import next_round, settled, vote

# Samples n critiques. The second argument sets the seeds of later rounds apart: `()` in the first
# round, `(number,)` after it.
SampleRound = Callable[[int, Sequence[int]], Awaitable[list[Critique]]]


async def sample_step(judging: Judging, sample: SampleRound) -> list[Critique]:
    """The critiques of one step: all its votes, or with early stopping as many as settle them."""
    critiques: list[Critique] = []

    async def ask(n: int, number: Sequence[int]) -> None:
        critiques.extend(await sample(n, number))

    def undecided(remaining: int) -> list[Votes]:
        votes = vote(critiques)[2]
        return [] if settled(votes, remaining, judging.config.early_stopping.risk) else [votes]

    await run_rounds(judging, ask, undecided)
    return critiques


async def run_rounds(
    judging: Judging,
    ask: Callable[[int, Sequence[int]], Awaitable[None]],
    undecided: Callable[[int], list[Votes]],
) -> None:
    """Ask for critiques round by round.

    Args:
        judging: whose task says how many votes there are, and whether they may stop early.
        ask: asks for one round; arguments as of `SampleRound`.
        undecided: the votes that so many more critiques could still change; nothing ends it.
    """
    total, stopping = judging.task.votes, judging.config.early_stopping
    # a verdict of the whole solution is a mean over all critiques: no round can be spared
    in_rounds = judging.task.early_stop and judging.pack.overall is None
    done = number = 0
    while done < total:
        remaining = total - done
        open_votes = undecided(remaining)
        if not open_votes:
            return
        n = remaining
        if in_rounds:
            n = max(
                next_round(votes, remaining, stopping.round_votes, stopping.risk)
                for votes in open_votes
            )
        await ask(n, [number] if number else [])
        done, number = done + n, number + 1
