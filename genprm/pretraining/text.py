"""What the base model reads: documents drawn from the built-in tasks, packed into rows.

A row depends only on (seed, index, progress), so that a resumed run goes on with the same text.
Knows nothing of models.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from genprm.prompts import solve_prompt
from genprm.tasks import TASKS
from genprm.tasks.base import pieces

# Slips make the policy fallible in varied ways; most of its errors are its own all the same.
SLIP_RATES = {"arithmetic": 0.05, "tracking": 0.15}

# Shares of documents at the beginning and the end of training. Whether two things are the same is
# learned all at once or not at all: 700 steps of a mixture did not teach it, 400 steps of hardly
# anything else did. So comparisons come first, and nearly alone.
MIX = {
    ("comparisons", "arithmetic"): (0.50, 0.12),
    ("comparisons", "tracking"): (0.42, 0.10),
    ("facts", "arithmetic"): (0.02, 0.22),
    ("facts", "tracking"): (0.02, 0.16),
    ("solution", "arithmetic"): (0.02, 0.21),
    ("solution", "tracking"): (0.02, 0.19),
}
MOVE = (
    0.5,
    0.65,
)  # the part of training in which the mix moves from the first column to the second


class Document(NamedTuple):
    """A text to learn; the loss falls on what neither is in the prompt nor marked as given."""

    prompt_ids: tuple[int, ...]
    text: str

    def encode(self, tokenizer: Any) -> tuple[list[int], list[int]]:
        """Token ids and labels, -100 where there is no loss."""
        parts = list(pieces(self.text))
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


def draw_document(rng: random.Random, progress: float, tokenizer: Any, pack: Any) -> Document:
    """One document at `progress` (0 to 1) of training, solutions in the pack's solve layout."""
    begin, end = MOVE
    at = min(max((progress - begin) / (end - begin), 0.0), 1.0)
    weights = [first + at * (last - first) for first, last in MIX.values()]
    kind, task = rng.choices(list(MIX), weights)[0]
    if kind != "solution":
        told = TASKS[task].facts(rng) if kind == "facts" else TASKS[task].comparisons(rng)
        return Document((), told + tokenizer.eos_token + "\n")
    problem, steps = TASKS[task].solution(rng, SLIP_RATES[task])
    prompt = solve_prompt(pack, tokenizer, problem.problem)
    return Document(prompt.token_ids, "\n".join(steps) + tokenizer.eos_token + "\n")


class PackedRows:
    """Map-style data set of `rows` packed rows of `length` tokens, for a torch DataLoader.

    Each row starts at a document's beginning; the last document is cut at the row's end.
    """

    def __init__(self, tokenizer: Any, pack: Any, rows: int, length: int, seed: int):
        self.tokenizer, self.pack = tokenizer, pack
        self.rows, self.length, self.seed = rows, length, seed

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        rng = random.Random(f"pretrain/{self.seed}/{index}")
        ids: list[int] = []
        labels: list[int] = []
        progress = index / self.rows
        while len(ids) < self.length:
            document = draw_document(rng, progress, self.tokenizer, self.pack)
            more_ids, more_labels = document.encode(self.tokenizer)
            ids += more_ids
            labels += more_labels
        return {"input_ids": ids[: self.length], "labels": labels[: self.length]}
