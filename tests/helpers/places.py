"""Where tests find the checkout, sample data and golden files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "tests" / "helpers"  # on PYTHONPATH of workers that run scripted engines
SAMPLES = ROOT / "tests" / "samples"
GOLDEN = ROOT / "tests" / "golden"
