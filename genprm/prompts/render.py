"""Renders prompt packs: the prompts to critic and policy, as chat messages and token ids.

Problem and steps are untrusted: they are neutralised, put into the template in one pass, rendered
with the chat template and tokenised once, so nothing in them can become a special token, a turn or
a verdict. Training targets are rendered by the same functions. `genprm.prompts.packs` defines a
pack; this module knows no engine, sampling or votes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from genprm.errors import ConfigError
from genprm.generation import Message, Prompt
from genprm.prompts.packs import PLACEHOLDER, PromptPack, load_pack
from genprm.prompts.untrusted import added_literals, neutralise
from genprm.util.paths import prompts_dir

__all__ = [
    "LabelTokens",
    "PromptPack",
    "continued",
    "critic_turn",
    "critique_prompt",
    "critique_target_messages",
    "label_tokens",
    "load_pack",
    "neutralise",
    "opened",
    "overall_label_tokens",
    "prompts_dir",
    "question_label_tokens",
    "rendered_texts",
    "safe_text",
    "solution_target_messages",
    "solve_prompt",
    "stop_strings",
    "verdict_prompt",
]


class LabelTokens(NamedTuple):
    """An opener and its two labels in the ids of one tokenizer.

    `correct_id` and `incorrect_id` are the tokens in which the two verdicts first differ; they
    follow the opener directly.
    """

    opener_ids: tuple[int, ...]
    correct_id: int
    incorrect_id: int


def label_tokens(pack: PromptPack, tokenizer: Any) -> LabelTokens:
    """The pack's opener and labels as token ids.

    Raises:
        ConfigError: the labels share their first token after the opener, or a label merges with the
            opener, so that no single position decides between them.
    """
    labels = (pack.correct_label, pack.incorrect_label)
    return _label_tokens(pack.name, pack.opener, labels, tokenizer)


def question_label_tokens(pack: PromptPack, tokenizer: Any) -> LabelTokens:
    """What asks a critique without a verdict for one, and its labels; see `label_tokens`."""
    labels = (pack.correct_label, pack.incorrect_label)
    return _label_tokens(pack.name, pack.ask or pack.opener, labels, tokenizer)


def overall_label_tokens(pack: PromptPack, tokenizer: Any) -> LabelTokens:
    """The opener and labels of the pack's question about the whole solution; see `label_tokens`."""
    assert pack.overall is not None
    labels = (pack.overall.correct_label, pack.overall.incorrect_label)
    return _label_tokens(pack.name, pack.overall.ask, labels, tokenizer)


def critique_prompt(
    pack: PromptPack,
    tokenizer: Any,
    problem: str,
    steps_prefix: Sequence[str],
    history: Sequence[str] = (),
) -> Prompt:
    """Ask about the last of `steps_prefix`, or about all of them if the pack's unit is `solution`.

    `history` holds, for unit `turns`, the critic's turns on the steps before the last, verdicts
    included. Without a tokenizer the prompt has no token ids.
    """
    messages = _critique_messages(pack, tokenizer, problem, steps_prefix, history)
    first = pack.sections[0].begin if pack.sections else ""
    begin = _fill(pack.begin + first, {"number": _number(pack, len(steps_prefix) - 1)})
    return _rendered(tokenizer, messages, begin, pack.assistant_marker)


def continued(tokenizer: Any, prompt: Prompt, text: str, assistant_marker: bool = True) -> Prompt:
    """The prompt with `text` appended to the part of the answer that it already holds;
    `assistant_marker` is the pack's."""
    return _rendered(tokenizer, prompt.messages, prompt.prefill + text, assistant_marker)


def verdict_prompt(
    pack: PromptPack, tokenizer: Any, prompt: Prompt, critique_text: str, stated: bool = False
) -> Prompt:
    """A prompt that ends the critique and opens its verdict: the next token is a label.

    With `stated` the critique wrote the opener itself, right behind `critique_text`. Else a verdict
    that it began to write is cut off, because its token limit may end it anywhere.
    `critique_text` is a result of `safe_text`, or the pack's own words.
    """
    if stated:
        text = critique_text + pack.opener
    else:
        text = _before_verdict(critique_text, pack.opener)
        text = text + pack.ask if pack.ask else opened(pack, text)
    return continued(tokenizer, prompt, text, pack.assistant_marker)


def stop_strings(pack: PromptPack, steps: int) -> tuple[str, ...]:
    """The pack's further strings that end a critique of a solution of so many steps."""
    after = _number(pack, steps)
    return tuple(stop.replace("{next}", after) for stop in pack.stop)


def opened(pack: PromptPack, critique_text: str) -> str:
    """The critique followed by the opener of its verdict, which begins a new line unless the
    critique ends in white space."""
    glued = critique_text and not critique_text[-1].isspace() and not pack.opener[0].isspace()
    return critique_text + "\n" * bool(glued) + pack.opener


def safe_text(tokenizer: Any, text: str) -> str:
    """A model's text with special tokens in it broken, so that it can be put into a prompt again.
    It may quote untrusted text."""
    return neutralise(text, added_literals(tokenizer))


def critic_turn(
    pack: PromptPack, tokenizer: Any, place: int, critique_text: str, correct: bool | None
) -> str:
    """A critique of the step at `place` (0-based) as a turn of the conversation: with its verdict,
    or as it was written if `correct` is None."""
    first = pack.sections[0].begin if pack.sections else ""
    begin = _fill(pack.begin + first, {"number": _number(pack, place)})
    text = safe_text(tokenizer, critique_text)
    if correct is None:
        return begin + text
    text = opened(pack, _before_verdict(text, pack.opener))
    return begin + text + pack.label_text(correct) + pack.closer


def solve_prompt(
    pack: PromptPack,
    tokenizer: Any,
    problem: str,
    steps_prefix: Sequence[str] = (),
    separator: str = "\n",
) -> Prompt:
    """Ask for a solution, or for the rest of one after `steps_prefix`. Those steps are prefilled,
    each followed by `separator`."""
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
    history: Sequence[str] = (),
) -> tuple[list[Message], list[Message]]:
    """`(prompt, completion)` chat messages of a training row on the last of `steps_prefix`.

    The prompt is the one that scoring sends. An opener inside `critique_body` is broken, so that
    the row's only verdict is at its end. The tokenizer matters only for text with special tokens of
    an unusual form.
    """
    prompt = list(_critique_messages(pack, tokenizer, problem, steps_prefix, history))
    begin = _fill(pack.begin, {"number": _number(pack, len(steps_prefix) - 1)})
    content = begin + _judged(pack, tokenizer, critique_body, label)
    return prompt, [Message(role="assistant", content=content)]


def solution_target_messages(
    pack: PromptPack,
    problem: str,
    steps: Sequence[str],
    critiques: Sequence[tuple[str, bool]],
    tokenizer: Any = None,
) -> tuple[list[Message], list[Message]]:
    """`(prompt, completion)` of a training row on a whole solution. The prompt shows all `steps`;
    `critiques` holds body and label for each step up to the first error."""
    prompt = list(_critique_messages(pack, tokenizer, problem, steps, ()))
    parts = [_judged(pack, tokenizer, body, label) for body, label in critiques]
    return prompt, [Message(role="assistant", content=pack.begin + "\n".join(parts))]


def rendered_texts(
    pack: PromptPack, tokenizer: Any, problem: str, steps_prefix: Sequence[str]
) -> tuple[str, ...]:
    """Problem and steps as a critique prompt shows them; a critique may quote these texts."""
    literals = [*added_literals(tokenizer), *pack.verdict_literals]
    if pack.overall is not None:
        literals.append(pack.overall.ask)
    steps = (_unnumbered(pack, step) for step in steps_prefix)
    return tuple(neutralise(text, literals, pack.markers) for text in (problem, *steps))


def _judged(pack: PromptPack, tokenizer: Any, body: str, label: bool) -> str:
    safe = neutralise(body.strip(), (*added_literals(tokenizer), *pack.verdict_literals))
    return opened(pack, safe) + pack.label_text(label) + pack.closer


def _critique_messages(
    pack: PromptPack,
    tokenizer: Any,
    problem: str,
    steps_prefix: Sequence[str],
    history: Sequence[str],
) -> tuple[Message, ...]:
    if not steps_prefix:
        raise ValueError("a critique needs at least one step")
    problem, *steps = rendered_texts(pack, tokenizer, problem, steps_prefix)
    steps = [step.strip("\n") for step in steps]
    last = len(steps) - 1
    if pack.unit != "turns":
        return _messages(
            pack.critique.system, _filled(pack, pack.critique.user, problem, steps, last)
        )
    if len(history) != last:
        raise ValueError(f"{len(steps)} steps need {last} critiques before the last")
    first = _filled(pack, pack.critique.user, problem, steps, 0)
    messages = list(_messages(pack.critique.system, first))
    for place, turn in enumerate(history, 1):
        messages.append(Message(role="assistant", content=turn))
        content = _filled(pack, pack.next_turn, problem, steps, place)
        messages.append(Message(role="user", content=content))
    return tuple(messages)


def _filled(pack: PromptPack, template: str, problem: str, steps: Sequence[str], place: int) -> str:
    slots = {
        "problem": problem,
        "step": steps[place],
        "question": pack.question,
        "number": _number(pack, place),
    }
    if "{previous}" in template:
        before = (_listed(pack, steps[at], at) for at in range(place))
        slots["previous"] = "".join(f"{step}\n" for step in before)
        if pack.no_previous and not place:
            slots["previous"] = f"{pack.no_previous}\n"
    if "{steps}" in template:
        slots["steps"] = "\n".join(_listed(pack, step, at) for at, step in enumerate(steps))
    return _fill(template, slots)


def _listed(pack: PromptPack, step: str, place: int) -> str:
    """A step as one of several. Where the pack gives each step a beginning, none of its further
    lines can be mistaken for another step."""
    if pack.step_form != "{step}":
        if pack.indent_lines:
            step = step.replace("\n", "\n  ")
        else:
            own_number = _own_number(pack.step_form)
            first, *further = step.split("\n")
            further = [f"  {line}" if own_number.match(line) else line for line in further]
            step = "\n".join([first, *further])
    return _fill(pack.step_form, {"step": step, "number": _number(pack, place)})


def _unnumbered(pack: PromptPack, step: str) -> str:
    """The step without the numbers that its lines give themselves, where the pack strips them."""
    if not pack.strip_numbers or pack.step_form == "{step}":
        return step
    return _own_number(pack.step_form).sub("", step).strip() or step


@lru_cache(maxsize=16)
def _own_number(step_form: str) -> re.Pattern[str]:
    """The beginning of a line that numbers a step as `step_form` does, in any case, with the marks
    of Markdown, or more than once: "Step 2: ", "## step 2:", "**Step 2:** ", "Step 2: Step 2: "."""
    before, _, rest = step_form.partition("{number}")
    between = rest.partition("{step}")[0]
    words = [re.escape(text.strip()) for text in (before, between)]
    gap = r"[^\S\n]*"
    once = rf"[ \t#>*_]*{words[0]}{gap}\d+[*_]*{gap}{words[1]}[*_]*{gap}"
    return re.compile(rf"^(?:{once})+", re.I | re.M)


def _number(pack: PromptPack, place: int) -> str:
    return str(pack.first_number + place)


def _messages(system: str, user: str) -> tuple[Message, ...]:
    messages = (Message(role="user", content=user),)
    return (Message(role="system", content=system), *messages) if system else messages


def _before_verdict(critique: str, opener: str) -> str:
    """The critique up to its last opener, or up to the beginning of one at its very end."""
    at = f"\n{critique}".rfind(opener)  # a verdict may be on the first line
    if at >= 0:
        return critique[: max(at - 1, 0)]
    cut = (n for n in range(len(opener) - 1, 0, -1) if critique.endswith(opener[:n]))
    return critique[: len(critique) - next(cut, 0)]


def _fill(template: str, slots: dict[str, str]) -> str:
    """Fills all placeholders in one pass, so that text put into a slot is never searched again."""
    return PLACEHOLDER.sub(lambda match: slots.get(match.group(1), match.group()), template)


def _rendered(
    tokenizer: Any, messages: tuple[Message, ...], prefill: str, assistant_marker: bool = True
) -> Prompt:
    if tokenizer is None:
        return Prompt(messages, prefill)
    text = tokenizer.apply_chat_template(
        [dict(message) for message in messages],
        tokenize=False,
        add_generation_prompt=assistant_marker,
    )
    end = getattr(tokenizer, "eos_token", None)
    if not assistant_marker and end and text.removesuffix("\n").endswith(end):
        text = text.removesuffix("\n").removesuffix(end)
    return Prompt(messages, prefill, _token_ids(tokenizer, text + prefill))


def _token_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    # The chat template has written every special token that belongs there, a BOS included.
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


@lru_cache(maxsize=16)
def _label_tokens(
    pack_name: str, opener: str, both: tuple[str, str], tokenizer: Any
) -> LabelTokens:
    body = "x"  # the opener's first characters may merge with the text before them
    before = _token_ids(tokenizer, body + opener)
    labels: list[int] = []
    for label in both:
        ids = _token_ids(tokenizer, body + opener + label)
        if ids[: len(before)] != before or len(ids) == len(before):
            raise ConfigError(
                f"pack {pack_name}: with this tokenizer the label {label!r} merges with the opener"
                f" {opener!r}, so its probability cannot be read"
            )
        labels.append(ids[len(before)])
    if labels[0] == labels[1]:
        raise ConfigError(
            f"pack {pack_name}: with this tokenizer the labels {both[0]!r} and"
            f" {both[1]!r} share their first token"
        )
    return LabelTokens(before[len(_token_ids(tokenizer, body)) :], labels[0], labels[1])
