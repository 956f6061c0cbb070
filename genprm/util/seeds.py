"""Sampling seeds that follow from what is sampled, not from the order of the work."""

from __future__ import annotations

from genprm.records import content_id

# Child i of a request samples with seed + i; the gap keeps that inside 31 bits.
_SEEDS = 2**31 - 2**20


def derive_seed(*parts: str | int) -> int:
    """A seed for one request, from the run's seed and the names of stage, row and step.

    Hashing keeps rounds apart: two adjacent run seeds share no child seeds.
    """
    return int(content_id(*parts), 16) % _SEEDS
