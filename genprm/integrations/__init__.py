"""Shims for the RL trainers and searches that people run, one module each: `trl`, `openrlhf`,
`verl`, `skyrl`, `verifiers`, `slime`; `search_and_learn`, `its_hub`.

They take any `StepScorer` (an `AsyncClient`, a handle from `cluster.connect`, a `Scorer`) or the
address of a service, and import none of those projects: each names the files whose interface it
follows. They share `judge` (from texts to judgements), `cache` (one text, one judgement), `chat`
(texts in messages), `solution_rewards` (one number per solution), and `genprm.rewards` (from
judgements to rewards).
"""
