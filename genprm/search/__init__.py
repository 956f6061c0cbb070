"""Searches with a critic: ways to choose among, or grow, solutions."""
