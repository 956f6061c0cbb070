"""Prompt packs as data: what a critic and a policy are asked with, and how a critique is built.

A pack is a YAML file in `prompts/`. A text file of the user's can put other instructions into it,
such as those that a published critic was trained with. Rendering is `genprm.prompts`; knows no
tokenizer, engine or vote.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from genprm.errors import ConfigError, one_line
from genprm.util.paths import prompts_dir
from genprm.util.validation import first_problem

PLACEHOLDER = re.compile(r"\{(problem|previous|steps|step|question|number)\}")
# A line of the template shorter than this is punctuation, not something a step could pretend to be.
MIN_MARKER_CHARS = 4
# Fields without which packs were first fingerprinted: they count where a pack uses them.
NOT_ALWAYS_THERE = {
    *("next_turn", "step_form", "first_number", "begin", "sections", "tools", "tool_calls"),
    *("closer", "ask_always", "overall", "sampling"),
}
FIXED = ("name", "unit")  # what a file of texts may not replace


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Template(_Part):
    """The system and user text of one request."""

    system: str = ""
    user: str

    @property
    def markers(self) -> tuple[str, ...]:
        """The template's own lines, which no line of untrusted text may begin with."""
        return own_lines(self.user)


class Tool(_Part):
    """Something that a critique may use: what it writes between `open` and `close` is run."""

    kind: Literal["python", "calculator"]
    open: str = Field(min_length=1)
    """Opens what is run."""
    close: str = Field(min_length=1)
    """Ends it, and the critic's writing until the answer stands there."""
    answer: str
    """Put behind `close`; has `{output}`."""

    @model_validator(mode="after")
    def _answers(self) -> Tool:
        if "{output}" not in self.answer:
            raise ValueError("answer has no {output}")
        if self.close in self.open:
            raise ValueError(f"close {self.close!r} stands in open {self.open!r}")
        return self


class CritiqueSection(_Part):
    """A part of a critique that begins with text of the pack's."""

    begin: str = ""
    """Written for the critic; `{number}` is the step's."""
    end: str = Field(min_length=1)
    """What the critic ends the section with."""


class Overall(_Part):
    """A question about the whole solution, put behind a critique of all its steps."""

    ask: str = Field(min_length=1)
    """Written for the critic; what follows is one of the labels."""
    correct_label: str
    incorrect_label: str


class PackSampling(_Part):
    """What `score` is by default with this pack; a config's own values win."""

    votes: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_critique_tokens: int | None = None
    aggregate: str | None = None
    early_stop: bool | None = None


class PromptPack(_Part):
    """One way of asking for a verdict on a step, loaded by `load_pack`."""

    name: str = Field(min_length=1)
    """What records call the pack."""
    unit: Literal["prefix", "turns", "solution"] = "prefix"
    """What one critique is about. `prefix`: the last of the steps that its prompt shows. `turns`:
    the same, with the critiques of the steps before it in the conversation. `solution`: all steps,
    a verdict for each up to the first error."""
    question: str
    """What is asked about the last step; fills `{question}`."""
    critique: Template
    """Asks for a critique: `{problem}`, `{previous}` (one step per line), `{step}`, `{number}`; of
    a whole solution `{steps}`. With turns it is the first one."""
    next_turn: str = ""
    """`turns`: what is sent for each step after the first; `{step}`, `{number}`."""
    step_form: str = "{step}"
    """How each of `{previous}` and `{steps}` is written: `{step}`, `{number}`."""
    first_number: int = 1
    """The number of the first step."""
    solve: Template
    """Asks the policy for a solution: `{problem}`."""
    begin: str = ""
    """What a critique begins with, written for the critic; `{number}`."""
    sections: tuple[CritiqueSection, ...] = ()
    """Parts of a critique, in order, before its verdict."""
    tools: tuple[Tool, ...] = ()
    """What a critique may use."""
    tool_calls: int = Field(default=3, ge=1)
    """How often; then its verdict is asked for."""
    opener: str
    """Ends a critique and opens its verdict; what follows is one of the labels."""
    correct_label: str
    """Says that the answer to the question is good."""
    incorrect_label: str
    """Says that it is not."""
    closer: str = ""
    """What stands behind a label."""
    ask_always: bool = False
    """Ask for the verdict of a critique that ends without one, too."""
    overall: Overall | None = None
    """`solution`: asks for a verdict of the whole behind the last step's."""
    stop: tuple[str, ...] = ()
    """Further strings that end a critique."""
    sampling: PackSampling = PackSampling()
    """Defaults of `score`."""

    @model_validator(mode="after")
    def _usable(self) -> PromptPack:
        step = "{steps}" if self.unit == "solution" else "{step}"
        needed = [
            ("critique.user", self.critique.user, "{problem}"),
            ("critique.user", self.critique.user, step),
            ("solve.user", self.solve.user, "{problem}"),
            ("step_form", self.step_form, "{step}"),
        ]
        if self.unit == "turns":
            needed.append(("next_turn", self.next_turn, "{step}"))
        for field, text, name in needed:
            if name not in text:
                raise ValueError(f"{field} has no {name}")
        labels = [("", self.opener, self.correct_label, self.incorrect_label)]
        if self.overall is not None:
            asked = self.overall
            labels.append(("overall.", asked.ask, asked.correct_label, asked.incorrect_label))
        for where, *texts in labels:
            names = ("ask" if where else "opener", "correct_label", "incorrect_label")
            for name, text in zip(names, texts, strict=True):
                if not text.strip():
                    raise ValueError(f"{where}{name} is blank")
            if texts[1].strip() == texts[2].strip():
                raise ValueError(f"{where}both labels are {texts[1].strip()!r}")
        for field in ("next_turn", "overall"):
            unit = "turns" if field == "next_turn" else "solution"
            if getattr(self, field) and self.unit != unit:
                raise ValueError(f"{field} is for unit {unit}")
        if self.unit == "solution" and (self.sections or self.tools):
            raise ValueError("sections and tools are for critiques of one step")
        return self

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over everything in the pack but when votes end: a critic belongs to one of
        them."""
        blank = {name: PromptPack.model_fields[name].default for name in NOT_ALWAYS_THERE}
        unused = {name: True for name, value in blank.items() if getattr(self, name) == value}
        left_out: dict[str, Any] = {"sampling": {"early_stop"}} | unused
        blob = json.dumps(
            self.model_dump(mode="json", exclude=left_out), sort_keys=True, ensure_ascii=True
        )
        return hashlib.sha256(blob.encode()).hexdigest()[:16]

    @cached_property
    def markers(self) -> tuple[str, ...]:
        """Lines that only the pack may write into a critique prompt."""
        return (*self.critique.markers, *own_lines(self.next_turn), self.question.strip())

    @property
    def continues(self) -> bool:
        """Whether critiques are written in parts: by engines that go on with a given text."""
        return bool(self.begin or self.sections or self.tools or self.ask_always or self.overall)

    @property
    def trains(self) -> bool:
        """Whether critiques of this form are written for training: those without sections, tools
        and a verdict of the whole."""
        return not (self.sections or self.tools or self.overall)

    def label_text(self, correct: bool) -> str:
        """The label for a verdict."""
        return self.correct_label if correct else self.incorrect_label


def own_lines(template: str) -> tuple[str, ...]:
    """The lines of a template that are long enough to be mistaken for it."""
    texts = PLACEHOLDER.split(template)[::2]
    lines = (line.strip() for text in texts for line in text.split("\n"))
    return tuple(line for line in lines if len(line) >= MIN_MARKER_CHARS)


def load_pack(name_or_path: str | Path, texts: str | Path | None = None) -> PromptPack:
    """A shipped pack by its name (`native`), or any pack by the path of its YAML file.

    `texts` is a YAML file with other texts in place of the pack's, under the pack's own keys, such
    as the instructions that stand on a published critic's card (`critique: {system: ...}`). The
    pack's fingerprint tells which it has.

    Raises ConfigError in one line that names the file and key.
    """
    name = str(name_or_path)
    path = Path(name).expanduser()
    if not path.is_file():
        path = prompts_dir() / f"{name}.yaml"
        if not re.fullmatch(r"[\w.-]+", name) or not path.is_file():
            known = ", ".join(sorted(file.stem for file in prompts_dir().glob("*.yaml")))
            raise ConfigError(f"{name}: no such prompt pack; shipped packs are {known}")
    given = _read(path)
    if texts is not None:
        path = Path(texts).expanduser()
        if not path.is_file():
            raise ConfigError(f"{texts}: no such file of a prompt pack's texts")
        given = _with_texts(given, _read(path), path)
    try:
        return PromptPack.model_validate(given)
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise ConfigError(f"{path}: {f'{key!r}: ' if key else ''}{message}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {one_line(error)}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected a mapping of keys")
    return found


def _with_texts(pack: Mapping[str, Any], texts: Mapping[str, Any], path: Path) -> dict[str, Any]:
    changed = dict(pack)
    for key, text in texts.items():
        if key in FIXED:
            raise ConfigError(f"{path}: {key!r} is the pack's own and cannot be replaced")
        parts = isinstance(text, dict) and isinstance(pack.get(key), dict)
        changed[key] = {**pack[key], **text} if parts else text
    return changed
