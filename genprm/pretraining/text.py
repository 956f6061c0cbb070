"""What the base model reads: documents drawn from the built-in tasks, packed into rows.

A row depends only on (seed, index, rows), so that a resumed run reads the same text.
Knows nothing of models.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from genprm.prompts.render import solve_prompt
from genprm.tasks import TASKS
from genprm.tasks.base import split_marked

# Slips make the policy fallible in varied ways, and the facts, which have none, what it can know
# better. At these rates 62 % of the arithmetic and 70 % of the tracking solutions are right, and of
# those to hard problems 19 and 14 %.
SLIP_RATES = {"arithmetic": 0.033, "tracking": 0.09}

# Shares of documents, first and afterwards. Whether two things are the same is learned all at once
# or not at all: 700 steps of a mixture did not teach it, 400 steps of hardly anything else did. So
# comparisons come first, and nearly alone.
MIX = {
    ("comparisons", "arithmetic"): (0.50, 0.07),
    ("comparisons", "tracking"): (0.42, 0.05),
    ("facts", "arithmetic"): (0.02, 0.25),
    ("facts", "tracking"): (0.02, 0.16),
    ("solution", "arithmetic"): (0.02, 0.25),
    ("solution", "tracking"): (0.02, 0.22),
}


class Document(NamedTuple):
    """A text to learn. Tokens of the prompt, and text marked as given, have no loss."""

    prompt_ids: tuple[int, ...]
    text: str

    def encode(self, tokenizer: Any) -> tuple[list[int], list[int]]:
        """Token ids and labels, -100 where there is no loss."""
        parts = list(split_marked(self.text))
        plain = "".join(part for part, _ in parts)
        encoded = tokenizer(plain, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        labels, at, end = list(ids), 0, 0
        for part, is_given in parts:
            end += len(part)
            while at < len(ids) and offsets[at][1] <= end:  # a token across is learned
                if is_given:
                    labels[at] = -100
                at += 1
        return [*self.prompt_ids, *ids], [-100] * len(self.prompt_ids) + labels


def draw_document(rng: random.Random, early: float, tokenizer: Any, pack: Any) -> Document:
    """One document; `early` (0 to 1) is the share of the mix that comes first in what is drawn.

    Solutions are in the pack's solve layout.
    """
    weights = [early * first + (1 - early) * later for first, later in MIX.values()]
    kind, task = rng.choices(list(MIX), weights)[0]
    if kind != "solution":
        text = TASKS[task].facts(rng) if kind == "facts" else TASKS[task].comparisons(rng)
        return Document((), text + tokenizer.eos_token + "\n")
    problem, steps = TASKS[task].solution(rng, SLIP_RATES[task])
    prompt = solve_prompt(pack, tokenizer, problem.problem)
    return Document(prompt.token_ids, "\n".join(steps) + tokenizer.eos_token + "\n")


def early_share(progress: float, comparisons_first: float) -> float:
    """How much of the first mix there is at `progress` (0 to 1): all of it until
    `comparisons_first`, then less over another 0.3 of that."""
    if comparisons_first == 0:
        return 0.0
    past = progress / comparisons_first - 1
    return 1 - min(max(past / 0.3, 0.0), 1.0)


class PackedRows:
    """Map-style data set of `rows` packed rows of `length` tokens, for a torch DataLoader.

    Each row starts at a document's beginning; the last document is cut at the row's end.
    """

    def __init__(
        self,
        tokenizer: Any,
        pack: Any,
        rows: int,
        length: int,
        seed: int,
        comparisons_first: float = 0.06,
    ):
        self.tokenizer, self.pack = tokenizer, pack
        self.rows, self.length, self.seed = rows, length, seed
        self.comparisons_first = comparisons_first

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        rng = random.Random(f"pretrain/{self.seed}/{index}")
        ids: list[int] = []
        labels: list[int] = []
        early = early_share(index / self.rows, self.comparisons_first)
        while len(ids) < self.length:
            document = draw_document(rng, early, self.tokenizer, self.pack)
            more_ids, more_labels = document.encode(self.tokenizer)
            ids += more_ids
            labels += more_labels
        return {"input_ids": ids[: self.length], "labels": labels[: self.length]}
