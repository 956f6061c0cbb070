"""Statistics, seeds, coroutines, validation texts and paths: small, and used everywhere."""
