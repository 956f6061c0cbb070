"""Shims for the RL trainers and searches that people run, one module each: `trl`, `openrlhf`,
`verl`, `search_and_learn`.

They take any `StepScorer` (an `AsyncClient`, a handle from `cluster.connect`, a `Scorer`), and
import none of those projects: each names the files whose interface it follows. What they share
stands in `asking` (texts to judgements) and `credit` (judgements to rewards).
"""
