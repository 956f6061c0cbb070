"""Fine-tuning: critique targets in, a critic directory out. No Ray in here: `cluster.training`
runs it. Importing this package loads no torch, transformers or trl; `trainer` does."""
