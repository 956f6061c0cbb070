"""Rewards for reinforcement learning, made of judgements."""
