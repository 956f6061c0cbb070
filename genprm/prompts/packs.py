"""Prompt packs as data: the texts of prompts to critic and policy, and the form of a critique.

A pack is a YAML file in `prompts/`. The user's own file of texts can replace its instructions, for
example by those that a published critic was trained with. `genprm.prompts.render` renders packs;
this module knows no tokenizer, engine or vote.
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
# A shorter line of a template is punctuation, which a step cannot be mistaken for.
MIN_MARKER_CHARS = 4
# Fields that are newer than the first fingerprints: they count only where a pack uses them.
LATER_FIELDS = {
    *("next_turn", "step_form", "first_number", "begin", "sections", "tools", "tool_calls"),
    *("closer", "ask_always", "overall", "sampling"),
    *("no_previous", "strip_numbers", "indent_lines", "assistant_marker", "drop_unfinished"),
    *("ask", "spellings"),
}
LATER_TOOL_FIELDS = ("failed", "late", "keeps_names")  # the same of `Tool`
FIXED = ("name", "unit")  # a file of texts may not replace these


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Template(_Part):
    """The system and user text of one request."""

    system: str = ""
    user: str

    @property
    def markers(self) -> tuple[str, ...]:
        """The template's own lines; no line of untrusted text may begin like one of them."""
        return own_lines(self.user)


class Tool(_Part):
    """A tool that a critique may use: the text that it writes between `open` and `close` is run."""

    kind: Literal["python", "calculator"]
    open: str = Field(min_length=1)
    """Begins the text that is run."""
    close: str = Field(min_length=1)
    """Ends that text. The critic goes on after the tool's answer."""
    answer: str
    """Written after `close`; contains `{output}`."""
    failed: str = ""
    """`python`: the output of a program that raised; `{error}` is its kind and message. Empty: what
    it printed, then kind and message."""
    late: str = ""
    """`python`: the output of a program that ran out of time. Empty: what it printed and a note."""
    keeps_names: bool = False
    """`python`, unit `turns`: programs also see the names of those in earlier steps of their
    conversation."""

    @model_validator(mode="after")
    def _answers(self) -> Tool:
        if "{output}" not in self.answer:
            raise ValueError("answer has no {output}")
        if self.failed and "{error}" not in self.failed:
            raise ValueError("failed has no {error}")
        if self.close in self.open:
            raise ValueError(f"close {self.close!r} is part of open {self.open!r}")
        return self


class CritiqueSection(_Part):
    """A part of a critique that begins with a text of the pack."""

    begin: str = ""
    """Written for the critic; `{number}` is the step's."""
    end: str = Field(min_length=1)
    """The text with which the critic ends the section."""


class Overall(_Part):
    """A question about the whole solution, asked after a critique of all its steps."""

    ask: str = Field(min_length=1)
    """Written for the critic; one of the labels follows."""
    correct_label: str
    incorrect_label: str


class PackSampling(_Part):
    """Defaults of the config section `score` with this pack; a config's own values win."""

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
    """The pack's name in records."""
    unit: Literal["prefix", "turns", "solution"] = "prefix"
    """What one critique is about. `prefix`: the last of the steps that its prompt shows. `turns`:
    the same, with the critiques of earlier steps in the conversation. `solution`: all steps, with
    a verdict for each up to the first error."""
    question: str
    """The question about the last step; fills `{question}`."""
    critique: Template
    """Asks for a critique: `{problem}`, `{previous}` (one step per line), `{step}`, `{number}`; for
    unit `solution` `{steps}`. For unit `turns` it is the first turn."""
    next_turn: str = ""
    """Unit `turns`: the user's turn for each step after the first; `{step}`, `{number}`."""
    step_form: str = "{step}"
    """How each step in `{previous}` and `{steps}` is written: `{step}`, `{number}`."""
    strip_numbers: bool = False
    """Take off the number that a line of a step gives itself in the way of `step_form`, so that no
    step reads "Step 2: Step 2:"."""
    indent_lines: bool = True
    """Indent a step's further lines where `step_form` gives it a beginning. Without it only lines
    that begin like another step are indented."""
    no_previous: str = ""
    """Fills `{previous}` where there are no steps before the last."""
    first_number: int = 1
    """The number of the first step."""
    solve: Template
    """Asks the policy for a solution: `{problem}`."""
    assistant_marker: bool = True
    """Whether the chat template's mark of an assistant's turn comes before a critique. Without it,
    and without the end of the user's turn, a critique follows the user's last words. Servers of
    the OpenAI API render chats themselves, and always write it."""
    begin: str = ""
    """The beginning of every critique, written for the critic; `{number}`."""
    sections: tuple[CritiqueSection, ...] = ()
    """Parts of a critique, in order, before its verdict."""
    tools: tuple[Tool, ...] = ()
    """Tools that a critique may use."""
    tool_calls: int = Field(default=3, ge=1)
    """Tool calls per critique; after them its verdict is asked for."""
    drop_unfinished: bool = False
    """Leave the section in work out, if it is not the first, where the last tool call ends it.
    Where the token limit ends it, it is always left out."""
    opener: str
    """Ends a critique and opens its verdict; one of the labels follows."""
    correct_label: str
    """The label of a good step."""
    incorrect_label: str
    """The label of a wrong step."""
    closer: str = ""
    """Text after a label."""
    ask_always: bool = False
    """Also ask for the verdict of a critique that ended by itself without one."""
    ask: str = ""
    """Asks for the verdict of a critique that has no `opener`. Empty: `opener`, on a new line."""
    spellings: tuple[str, ...] = ()
    """Unit `solution`: other forms of a verdict that count; `{label}` stands for a label, in any
    case."""
    overall: Overall | None = None
    """Unit `solution`: asks for a verdict of the whole solution after that of the last step."""
    stop: tuple[str, ...] = ()
    """Further strings that end a critique; for unit `solution`, `{next}` is the number of a step
    after the last."""
    sampling: PackSampling = PackSampling()
    """Defaults of the config section `score`."""

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
            last = self.overall
            labels.append(("overall.", last.ask, last.correct_label, last.incorrect_label))
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
        if self.unit != "solution" and (self.spellings or any("{next}" in s for s in self.stop)):
            raise ValueError("spellings and {next} are for unit solution")
        if any(not spelling.replace("{label}", "").strip() for spelling in self.spellings):
            raise ValueError("a spelling is a label alone")
        if any("{label}" not in spelling for spelling in self.spellings):
            raise ValueError("a spelling has no {label}")
        if self.ask and not self.ask.strip():
            raise ValueError("ask is blank")
        if self.unit == "solution" and (self.sections or self.tools):
            raise ValueError("sections and tools are for critiques of one step")
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of every field that changes prompts, verdicts or sampling;
        `sampling.early_stop` is left out. A critic is bound to one fingerprint."""
        blank = {name: PromptPack.model_fields[name].default for name in LATER_FIELDS}
        unused = {name: True for name, value in blank.items() if getattr(self, name) == value}
        left_out: dict[str, Any] = {"sampling": {"early_stop"}} | unused
        fields = self.model_dump(mode="json", exclude=left_out)
        for tool in fields.get("tools", ()):
            for name in LATER_TOOL_FIELDS:
                if tool[name] == Tool.model_fields[name].default:
                    del tool[name]
        blob = json.dumps(fields, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(blob.encode()).hexdigest()[:16]

    @cached_property
    def markers(self) -> tuple[str, ...]:
        """Lines that only the pack may write into a critique prompt."""
        return (*self.critique.markers, *own_lines(self.next_turn), self.question.strip())

    @property
    def continues(self) -> bool:
        """Whether critiques are written in parts, which needs an engine that can prefill."""
        return bool(self.begin or self.sections or self.tools or self.ask_always or self.overall)

    @property
    def trains(self) -> bool:
        """Whether `genprm distill` writes critiques of this form: none with sections, tools, a
        verdict of the whole solution, or without an assistant's marker."""
        return self.assistant_marker and not (self.sections or self.tools or self.overall)

    @property
    def spelled(self) -> tuple[tuple[str, bool], ...]:
        """The `spellings` with each label, and whether it is that of a good step."""
        labels = ((self.correct_label.strip(), True), (self.incorrect_label.strip(), False))
        return tuple(
            (spelling.replace("{label}", label), correct)
            for spelling in self.spellings
            for label, correct in labels
        )

    @property
    def verdict_literals(self) -> tuple[str, ...]:
        """What only a critique may hold: its opener, and verdicts of other spellings."""
        return (self.opener, *(text for text, _ in self.spelled))

    def label_text(self, correct: bool) -> str:
        """The label for a verdict."""
        return self.correct_label if correct else self.incorrect_label


def own_lines(template: str) -> tuple[str, ...]:
    """The lines of a template, without those too short to be mistaken for it."""
    texts = PLACEHOLDER.split(template)[::2]
    lines = (line.strip() for text in texts for line in text.split("\n"))
    return tuple(line for line in lines if len(line) >= MIN_MARKER_CHARS)


def load_pack(name_or_path: str | Path, texts: str | Path | None = None) -> PromptPack:
    """A shipped pack by its name (`native`), or any pack by the path of its YAML file.

    `texts` is a YAML file that replaces texts of the pack, under the pack's own keys, for example
    by the instructions on a published critic's card (`critique: {system: ...}`). The fingerprint
    changes with the texts.

    Raises:
        ConfigError: no such file, invalid YAML, or an invalid key; one line with file and key.
    """
    name = str(name_or_path)
    path = Path(name).expanduser()
    if not path.is_file():
        path = prompts_dir() / f"{name}.yaml"
        if not re.fullmatch(r"[\w.-]+", name) or not path.is_file():
            shipped = ", ".join(sorted(file.stem for file in prompts_dir().glob("*.yaml")))
            raise ConfigError(f"{name}: no such prompt pack; shipped packs are {shipped}")
    fields = _read(path)
    if texts is not None:
        path = Path(texts).expanduser()
        if not path.is_file():
            raise ConfigError(f"{texts}: no such file of a prompt pack's texts")
        fields = _with_texts(fields, _read(path), path)
    try:
        return PromptPack.model_validate(fields)
    except ValidationError as error:
        key, message, _ = first_problem(error)
        raise ConfigError(f"{path}: {f'{key!r}: ' if key else ''}{message}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {one_line(error)}") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: expected a mapping of keys")
    return fields


def _with_texts(pack: Mapping[str, Any], texts: Mapping[str, Any], path: Path) -> dict[str, Any]:
    changed = dict(pack)
    for key, text in texts.items():
        if key in FIXED:
            raise ConfigError(f"{path}: {key!r} is the pack's own and cannot be replaced")
        parts = isinstance(text, dict) and isinstance(pack.get(key), dict)
        changed[key] = {**pack[key], **text} if parts else text
    return changed
