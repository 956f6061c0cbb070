"""The batch stages solve, label, distill and score, for the command line, jobs and other programs.

Each is one file in `cluster.stages`; `run_stage` there has everything about Ray, resume and files.
"""

from __future__ import annotations

from cluster.stages.distill import distill
from cluster.stages.label import label
from cluster.stages.report import Report
from cluster.stages.score import score
from cluster.stages.solve import solve

__all__ = ["Report", "distill", "label", "score", "solve"]
