"""Small real tokenizers for tests of prompts: byte-level BPE, some of them hostile on purpose."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tiny_model import CHAT_TEMPLATE, SENTENCES, SPLIT_PATTERN

CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# Shapes of added tokens that published tokenizers have: reserved slots, tool markup, thinking
# tags, single signs, white space, DeepSeek's full-width bars, an accent, and words as tokens.
ODD = (
    "<|reserved_special_token_7|>",
    "<tool_call>",
    "[TOOL]",
    "<think>",
    " <sep>",
    "<｜begin▁of▁sentence｜>",
    "<|",
    "|>",
    "☃",
    "<ünit>",
    "  ",
    "Step",
    "aXa",
)


@lru_cache
def bpe(odd: bool = False, normalizing: bool = False, merge_labels: bool = False) -> Any:
    """ChatML over a BPE of a few hundred tokens.

    `odd` adds the tokens above; `normalizing` folds case, accents and compatibility forms before
    added tokens are looked for; `merge_labels` splits at white space only, so that ": correct" may
    become one token.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    split = r"[^\n]+|\n" if merge_labels else SPLIT_PATTERN
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    if normalizing:
        core.normalizer = normalizers.Sequence(
            [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
        )
    trainer = trainers.BpeTrainer(
        vocab_size=2000 if merge_labels else 800,
        min_frequency=1,
        special_tokens=list(CHATML),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(SENTENCES, trainer)
    if odd:
        core.add_tokens([AddedToken(token, normalized=normalizing) for token in ODD])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
    )
