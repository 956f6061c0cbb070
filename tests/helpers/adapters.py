"""LoRA adapters with random weights."""

from __future__ import annotations

from pathlib import Path


def make_adapter(model: Path, path: Path, seed: int, rank: int = 8) -> Path:
    """A random LoRA adapter that changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(r=rank, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(path)
    return path
