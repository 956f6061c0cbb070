"""A tiny random model with a token classification head, and a marker token in its tokenizer."""

from __future__ import annotations

from pathlib import Path

from tiny_model import make_tiny_model

MARKER = "<extra_0>"


def make_tiny_head(dir: str | Path, *, labels: int = 2, seed: int = 0) -> Path:
    """Write a random `Qwen2ForTokenClassification` of `labels` labels to `dir`; return the path.

    Its weights are drawn wide enough that steps get clearly different scores.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer, Qwen2ForTokenClassification

    path = make_tiny_model(dir, seed=seed)
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.add_special_tokens({"additional_special_tokens": [MARKER]})
    tokenizer.save_pretrained(path)
    config = AutoConfig.from_pretrained(path, num_labels=labels)
    config.vocab_size = len(tokenizer)
    config.initializer_range = 0.3
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForTokenClassification(config)
        torch.nn.init.normal_(model.score.bias, std=0.3)
    model.save_pretrained(path)
    return path
