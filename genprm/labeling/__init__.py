"""Step values from rollouts, and hard labels from values: one module per estimator.

`sampler` rolls out, an estimator decides where and reads the result, `solution` writes the row.
"""

from genprm.labeling.labels import StepLabels, labels_from_values, unlabelled_reason
from genprm.labeling.rollouts import RolloutCounts, rollout_prefix
from genprm.labeling.solution import ESTIMATORS, label_solution

__all__ = [
    "ESTIMATORS",
    "RolloutCounts",
    "StepLabels",
    "label_solution",
    "labels_from_values",
    "rollout_prefix",
    "unlabelled_reason",
]
