"""Models: what a name stands for, and the manifest that a critic directory carries."""
