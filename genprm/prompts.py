"""Prompt packs: the texts that a critic and a policy are asked with, and their rendering.

A pack is a YAML file in `prompts/`: templates, the opener of the verdict, its two labels. Problem
and steps are untrusted: they are neutralised, put into the template in one pass, rendered with the
chat template and tokenised once, so nothing in them can become a special token, a turn or a
verdict. Training targets are rendered by the same functions. Knows no engine, sampling or votes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from genprm.engines.base import Message, Prompt
from genprm.errors import ConfigError
from genprm.invalid import first_problem
from genprm.paths import prompts_dir
from genprm.untrusted import added_literals, neutralise

__all__ = [
    "LabelTokens",
    "PromptPack",
    "critique_prompt",
    "critique_target_messages",
    "load_pack",
    "neutralise",
    "prompts_dir",
    "rendered_texts",
    "solve_prompt",
    "verdict_prompt",
]

PLACEHOLDER = re.compile(r"\{(problem|previous|step|question)\}")
# A line of the template shorter than this is punctuation, not something a step could pretend to be.
MIN_MARKER_CHARS = 4


class LabelTokens(NamedTuple):
    """A pack's opener and labels in the ids of one tokenizer.

    `correct_id` and `incorrect_id` are the tokens in which the two verdicts first differ; they
    follow the opener directly.
    """

    opener_ids: tuple[int, ...]
    correct_id: int
    incorrect_id: int


class Template(BaseModel):
    """The system and user text of one request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str = ""
    user: str

    @property
    def markers(self) -> tuple[str, ...]:
        """The template's own lines, which no line of untrusted text may begin with."""
        texts = PLACEHOLDER.split(self.user)[::2]
        lines = (line.strip() for text in texts for line in text.split("\n"))
        return tuple(line for line in lines if len(line) >= MIN_MARKER_CHARS)


class PromptPack(BaseModel):
    """One way of asking for a verdict on a step, loaded by `load_pack`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    """What records call the pack."""
    unit: Literal["prefix"] = "prefix"
    """What one prompt shows: `prefix`, the problem and the steps up to the judged one."""
    question: str
    """What is asked about the last step; fills `{question}`."""
    critique: Template
    """Asks for a critique: `{problem}`, `{previous}` (one step per line), `{step}`."""
    solve: Template
    """Asks the policy for a solution: `{problem}`."""
    opener: str
    """Ends a critique and opens its verdict; what follows is one of the labels."""
    correct_label: str
    """Says that the answer to the question is good."""
    incorrect_label: str
    """Says that it is not."""
    stop: tuple[str, ...] = ()
    """Further strings that end a critique."""

    @model_validator(mode="after")
    def _usable(self) -> PromptPack:
        for field, template, needed in (
            ("critique", self.critique, ("{problem}", "{step}")),
            ("solve", self.solve, ("{problem}",)),
        ):
            missing = [name for name in needed if name not in template.user]
            if missing:
                raise ValueError(f"{field}.user has no {missing[0]}")
        for field in ("opener", "correct_label", "incorrect_label"):
            if not getattr(self, field).strip():
                raise ValueError(f"{field} is blank")
        if self.correct_label.strip() == self.incorrect_label.strip():
            raise ValueError(f"both labels are {self.correct_label.strip()!r}")
        return self

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over everything in the pack: a critic belongs to one of them."""
        blob = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(blob.encode()).hexdigest()[:16]

    @cached_property
    def markers(self) -> tuple[str, ...]:
        """Lines that only the pack may write into a critique prompt."""
        return (*self.critique.markers, self.question.strip())

    def check_tokenizer(self, tokenizer: Any) -> LabelTokens:
        """The pack's opener and labels as token ids.

        Raises ConfigError if the labels share their first token after the opener, or if a label
        melts into the opener, so that no single position decides between them.
        """
        return _label_tokens(self, tokenizer)

    def label_text(self, correct: bool) -> str:
        """The label for a verdict."""
        return self.correct_label if correct else self.incorrect_label


def load_pack(name_or_path: str | Path) -> PromptPack:
    """A shipped pack by its name (`native`), or any pack by the path of its YAML file.

    Raises ConfigError in one line that names the file and key.
    """
    name = str(name_or_path)
    path = Path(name).expanduser()
    if not path.is_file():
        path = prompts_dir() / f"{name}.yaml"
        if not re.fullmatch(r"[\w.-]+", name) or not path.is_file():
            known = ", ".join(sorted(file.stem for file in prompts_dir().glob("*.yaml")))
            raise ConfigError(f"{name}: no such prompt pack; shipped packs are {known}")
    try:
        return PromptPack.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise ConfigError(f"{path}: {f'{key!r}: ' if key else ''}{message}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def critique_prompt(
    pack: PromptPack, tokenizer: Any, problem: str, steps_prefix: Sequence[str]
) -> Prompt:
    """Ask about the last of `steps_prefix`; without a tokenizer the prompt has no token ids."""
    return _rendered(tokenizer, _critique_messages(pack, tokenizer, problem, steps_prefix), "")


def verdict_prompt(pack: PromptPack, tokenizer: Any, prompt: Prompt, critique_text: str) -> Prompt:
    """Let the critique end here and ask for its verdict: the next token is a label.

    A verdict that the critique began to write is cut off, since the budget may end anywhere. The
    critique is a model's text about untrusted text, so special tokens in it are broken too.
    """
    body = neutralise(_before_verdict(critique_text, pack.opener), added_literals(tokenizer))
    return _rendered(tokenizer, prompt.messages, prompt.prefill + body + pack.opener)


def solve_prompt(
    pack: PromptPack,
    tokenizer: Any,
    problem: str,
    steps_prefix: Sequence[str] = (),
    separator: str = "\n",
) -> Prompt:
    """Ask for a solution, or for the rest of one: given steps are prefilled, each with the
    separator of its splitter after it."""
    literals = (*added_literals(tokenizer), pack.opener)
    markers = pack.solve.markers
    user = _fill(pack.solve.user, {"problem": neutralise(problem, literals, markers)})
    steps = [neutralise(step, literals, markers).strip("\n") + separator for step in steps_prefix]
    return _rendered(tokenizer, _messages(pack.solve.system, user), "".join(steps))


def critique_target_messages(
    pack: PromptPack,
    problem: str,
    steps_prefix: Sequence[str],
    critique_body: str,
    label: bool,
    tokenizer: Any = None,
) -> tuple[list[Message], list[Message]]:
    """`(prompt, completion)` chat messages of a training row on the last of `steps_prefix`.

    The prompt is the one that scoring sends. The body may hold no opener of its own: one is
    broken, so that the row ends in its only verdict. The tokenizer matters only for text that
    holds special tokens of an unusual form.
    """
    prompt = list(_critique_messages(pack, tokenizer, problem, steps_prefix))
    body = neutralise(critique_body.strip(), (*added_literals(tokenizer), pack.opener))
    verdict = body + pack.opener + pack.label_text(label)
    return prompt, [Message(role="assistant", content=verdict)]


def rendered_texts(
    pack: PromptPack, tokenizer: Any, problem: str, steps_prefix: Sequence[str]
) -> tuple[str, ...]:
    """Problem and steps as a critique prompt shows them: the text that a critique may quote."""
    literals = (*added_literals(tokenizer), pack.opener)
    return tuple(neutralise(text, literals, pack.markers) for text in (problem, *steps_prefix))


def _critique_messages(
    pack: PromptPack, tokenizer: Any, problem: str, steps_prefix: Sequence[str]
) -> tuple[Message, ...]:
    if not steps_prefix:
        raise ValueError("a critique needs a step to be about")
    shown, *steps = rendered_texts(pack, tokenizer, problem, steps_prefix)
    *previous, last = (step.strip("\n") for step in steps)
    slots = {
        "problem": shown,
        "previous": "".join(f"{step}\n" for step in previous),
        "step": last,
        "question": pack.question,
    }
    return _messages(pack.critique.system, _fill(pack.critique.user, slots))


def _messages(system: str, user: str) -> tuple[Message, ...]:
    messages = (Message(role="user", content=user),)
    return (Message(role="system", content=system), *messages) if system else messages


def _before_verdict(critique: str, opener: str) -> str:
    """The critique up to its last opener, or up to the beginning of one at its very end."""
    at = critique.rfind(opener)
    if at >= 0:
        return critique[:at]
    cut = (n for n in range(len(opener) - 1, 0, -1) if critique.endswith(opener[:n]))
    return critique[: len(critique) - next(cut, 0)]


def _fill(template: str, slots: dict[str, str]) -> str:
    """All placeholders in one pass: what a slot brings in is never searched again."""
    return PLACEHOLDER.sub(lambda match: slots.get(match.group(1), match.group()), template)


def _rendered(tokenizer: Any, messages: tuple[Message, ...], prefill: str) -> Prompt:
    if tokenizer is None:
        return Prompt(messages, prefill)
    text = tokenizer.apply_chat_template(
        [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
    )
    return Prompt(messages, prefill, _token_ids(tokenizer, text + prefill))


def _token_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    # The chat template has written every special token that belongs there, a BOS included.
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


@lru_cache(maxsize=16)
def _label_tokens(pack: PromptPack, tokenizer: Any) -> LabelTokens:
    body = "x"  # the opener's first characters may merge with what stands before them
    opened = _token_ids(tokenizer, body + pack.opener)
    labels: list[int] = []
    for label in (pack.correct_label, pack.incorrect_label):
        ids = _token_ids(tokenizer, body + pack.opener + label)
        if ids[: len(opened)] != opened or len(ids) == len(opened):
            raise ConfigError(
                f"pack {pack.name}: with this tokenizer the label {label!r} melts into the opener"
                f" {pack.opener!r}, so its probability cannot be read"
            )
        labels.append(ids[len(opened)])
    if labels[0] == labels[1]:
        raise ConfigError(
            f"pack {pack.name}: with this tokenizer the labels {pack.correct_label!r} and"
            f" {pack.incorrect_label!r} share their first token"
        )
    return LabelTokens(opened[len(_token_ids(tokenizer, body)) :], labels[0], labels[1])
