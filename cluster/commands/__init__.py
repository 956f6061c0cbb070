"""The commands of `genprm` that are not stages: options, help and what they run."""
