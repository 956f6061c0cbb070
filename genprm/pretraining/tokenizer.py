"""The embedded tokenizer: byte-level BPE over generated text, single digits, ChatML template.

Its vocabulary is also shown the wording of critiques, so that a critic needs no new tokens; the
base model's weights never are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from genprm.prompts.packs import PromptPack
from genprm.tasks import TASKS
from genprm.tasks.base import split_marked

# A digit, a word or a sign at a time, each with the space before it: "304" is three tokens, and
# "(-9 - 5)" never depends on which signs happen to be adjacent.
PATTERN = r" ?\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]|\s+"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pack_texts(pack: PromptPack) -> list[str]:
    """What a pack writes around problems and steps."""
    labels = [pack.opener + pack.label_text(correct) for correct in (True, False)]
    texts = [pack.critique.system, pack.critique.user, pack.question, pack.solve.system]
    return [*texts, *labels, "system\n", "user\n", "assistant\n"]


def corpus(documents: int, texts: list[str]) -> Iterator[str]:
    """Generated text to count words in."""
    rng = random.Random("tokenizer")
    for _ in range(documents):
        for task in TASKS.values():
            problem, steps = task.solution(rng, 0.2)
            at = rng.randrange(len(steps)) + 1
            yield problem.problem
            yield "\n".join(steps)
            for text in (task.facts(rng), task.comparisons(rng)):
                yield "".join(part for part, _ in split_marked(text))
            yield task.critique(problem.problem, steps[:at], rng, 0.2).body
    for text in texts:
        for _ in range(documents // 2):  # often enough that every word becomes one token
            yield text


def build_tokenizer(vocab_size: int, documents: int, packs: Sequence[PromptPack]) -> Any:
    """A transformers tokenizer of at most `vocab_size` tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [text for pack in packs for text in pack_texts(pack)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=20,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(documents, texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
