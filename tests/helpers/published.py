"""What the authors' code of published critics sends to a model, written down after their
repositories (GenPRM cc80f47, R-PRM e3dd605, ThinkPRM 0beccfb), with our packs' instructions in
place of their cards'.

Nothing here uses genprm: the two sides are rendered independently.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

# (answer so far, number of the step from 1) -> how the critic goes on
Critic = Callable[[str, int], str]


def _until(text: str, *stops: str) -> str:
    """The text up to and with the first of the stop strings."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    return text[: min(ends, default=len(text))]


def genprm_requests(
    tokenizer: Any, system: str, problem: str, steps: Sequence[str], critic: Critic
) -> tuple[list[str], list[str]]:
    """`(requests, texts before a label)`: a conversation of one turn per step, in which a critique
    follows the user's words directly. Programs share one namespace; after three, analysis and
    judgement are all that stays of a critique."""
    messages = [{"role": "system", "content": system}]
    names: dict[str, Any] = {}
    requests, before_labels = [], []
    for number, step in enumerate(steps, 1):
        user = f"Question: {problem}\n\n{step}" if number == 1 else step
        messages.append({"role": "user", "content": user})
        prompt = tokenizer.apply_chat_template(messages, tokenize=False)
        prompt = prompt.removesuffix("\n").removesuffix(tokenizer.eos_token)
        requests.append(prompt + "<analyze>\n")
        analysis = "<analyze>\n" + _until(critic("<analyze>\n", number), "</analyze>\n")
        answer = analysis + "<verify>\n```python\n"
        for _ in range(3):
            requests.append(prompt + answer)
            answer += _until(critic(answer, number), "\n```\n", "</output>\n")
            if answer.endswith("</output>\n"):
                break
            program = re.findall(r"```python\s*(.*?)\s*```", answer, re.DOTALL)[-1]
            answer += f"[Code Output]\n\n```\n{_printed(program, names)}\n```\n"
        else:
            answer = analysis + "<output>\n**Judgement**: $\\boxed"
            answer += _until(critic(answer, number), "</output>\n")
        before_labels.append(prompt + answer[: answer.rindex("\\boxed{") + len("\\boxed{")])
        messages.append({"role": "assistant", "content": answer})
    return requests, before_labels


def _printed(program: str, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(program, names)
    except Exception as error:
        return f"Code execute Error: {type(error).__name__}: {error}"
    return printed.getvalue().strip()


def r_prm_message(instruction: str, problem: str, before: Sequence[str], step: str) -> str:
    """The user's message about a step."""
    none = "Since the Now Step is the first step, there are no Previous Steps."
    previous = "\n".join(before) if before else none
    return f"{instruction}\n\nQuestion: {problem}\nPrevious Steps: {previous}\nNow Step: {step}"


def r_prm_before_label(critique: str) -> str:
    """What of a critique stands before the label whose probability is read."""
    question = "Is the step correct (Yes/No)?"
    if question in critique:
        return critique.split(question)[0] + question
    return critique + "\nBased on your analysis. Is the answer correct (Yes/No)?"


def thinkprm_solution(steps: Sequence[str]) -> str:
    """The solution in the user's message."""
    bare = [re.sub(r"Step \d+:", "", step).strip() for step in steps]
    return "\n".join(f"Step {number}: {step}" for number, step in enumerate(bare, 1))


def thinkprm_critique(critique: str, steps: int) -> str:
    """What is kept of a critique: it ends at the question, at the end of thinking, or at a step
    that is not there."""
    stops = ("Is the solution correct?", "</think>", f"Step {steps + 1}:")
    return critique[: min([critique.find(s) for s in stops if s in critique] or [len(critique)])]
