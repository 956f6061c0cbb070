"""A tiny random causal language model for tests: real architecture, real tokenizer, no knowledge.

Anything that loads a Hugging Face directory (vLLM, TRL, transformers) runs on it as it runs on a
7B model. It says nothing sensible; tests that need sense use the embedded model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Qwen2's own split pattern: words with their leading space, digits one by one.
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SENTENCES = (
    "Solve the problem step by step, one step per line.",
    "Check the last step. Write a short critique, then the verdict.",
    "Problem:\nWhat is 3 * (4 + 5) - 2?\nSteps:\n4 + 5 = 9\n3 * 9 = 27\n27 - 2 = 25\n",
    "Last step:\nSo the answer is 25.\nIs the last step correct?\n",
    "The step adds 4 and 5, and 4 + 5 = 9, so it is right.\nVerdict: correct",
    "The step says 27 - 2 = 24, but it is 25, so it is wrong.\nVerdict: incorrect",
    "Can a good solver still reach the right answer from here?\nVerdict: yes\nVerdict: no",
    "Alice has the red ball. Bob and Claire swap balls. Now Bob has the blue ball.",
)


def make_tiny_model(
    dir: str | Path,
    *,
    vocab_text: Sequence[str] | None = None,
    hidden: int = 64,
    layers: int = 2,
    heads: int = 2,
    seed: int = 0,
) -> Path:
    """Write a random Qwen2 and its tokenizer to `dir` and return the path.

    The tokenizer is a byte-level BPE of a few hundred tokens in which the common words of
    `SENTENCES` and `vocab_text` are single tokens (so " correct" and " incorrect" differ in their
    first token), digits stand alone, and the chat format is ChatML. vLLM on CPU wants
    `hidden / heads` of at least 32. The same arguments give the same weights.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    path = Path(dir)
    tokenizer = _tokenizer([*SENTENCES, *(vocab_text or ())])
    special = {
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        **special,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.generation_config.update(**special)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _tokenizer(texts: Sequence[str]):  # type: ignore[no-untyped-def]  # transformers, lazily
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        min_frequency=1,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
    )
