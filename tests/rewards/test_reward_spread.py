"""The figures of benchmarks/reward_spread.py, without a critic."""

from __future__ import annotations

import runpy

from places import ROOT


def test_unscored_rewards_are_left_out_and_counted() -> None:
    figures_of = runpy.run_path(str(ROOT / "benchmarks/reward_spread.py"))["_figures"]
    right = [[0.75, 0.75], [0.75, None], [None, None], [0.75, 0.75]]
    wrong = [[0.25, 0.5], [0.25, 0.25], [None, 0.25], [0.25, 0.25]]
    figures = figures_of(right + wrong, [False] * 4 + [True] * 4)
    values = {name: (estimate.value, estimate.n) for name, estimate in figures.items()}
    assert values == {
        "moved": (1 / 5, 5),
        "moved by 0.05": (1 / 5, 5),
        "spread": (0.05, 5),
        "blown up": (0.0, 4),
        "unscored": (4 / 16, 16),
    }
