"""Whether a critic can be heard at all: the share of its critiques that have no verdict."""

from __future__ import annotations

UNTRAINED_SHARE = 0.5  # of critiques without a verdict, above which a critic is called untrained


def describe_untrained(pack: str, invalid: int, critiques: int) -> str | None:
    """What to tell the user of a critic most of whose critiques are invalid, in one line; None of
    any other critic."""
    if invalid <= UNTRAINED_SHARE * critiques:
        return None
    return (
        f"{invalid:,} of {critiques:,} critiques are invalid: the critic has not learnt pack"
        f" {pack!r}. Train it with this pack (genprm distill, genprm train), set `pack` to the one"
        " that it was trained with, or, where critiques are cut off, raise"
        " score.max_critique_tokens"
    )
