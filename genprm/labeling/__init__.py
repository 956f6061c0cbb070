"""Step values from rollouts, and hard labels from values. Sources: Math-Shepherd (2312.08935)."""

from genprm.labeling.flat import label_solution
from genprm.labeling.labels import StepLabels, labels_from_values, unlabelled_reason
from genprm.labeling.rollouts import RolloutCounts, rollout_prefix

__all__ = [
    "RolloutCounts",
    "StepLabels",
    "label_solution",
    "labels_from_values",
    "rollout_prefix",
    "unlabelled_reason",
]
