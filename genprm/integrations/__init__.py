"""Reward shims for the trainers and searches that people run; each imports nothing of theirs."""
