"""Training on Ray: the driver, its workers, and the folder that a critic appears in."""
