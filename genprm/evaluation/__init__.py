"""Measuring critics: first-error metrics, best-of-n, reliability, label quality, reports.

Everything here works on finished records; nothing here generates, scores or trains.
"""
