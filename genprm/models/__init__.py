"""Models: what their names mean, their tokenizers, and the manifest of a trained model."""
