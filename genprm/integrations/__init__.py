"""Shims for the RL trainers and searches that people run, one module each: `trl`, `openrlhf`,
`verl`, `search_and_learn`.

They take any `StepScorer` (an `AsyncClient`, a handle from `cluster.connect`, a `Scorer`), and
import none of those projects: each names the files whose interface it follows. They share `judge`
(from texts to judgements) and `genprm.rewards.credit` (from judgements to rewards).
"""
