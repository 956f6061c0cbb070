"""Scoring: critiques of steps, their votes, and what the votes come to.

`base` is the contract (`StepScorer`), `critic` finds and checks the critic of a config, `scorer`
judges solutions.
"""
