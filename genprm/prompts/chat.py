"""Takes a conversation that was rendered as one text apart into its turns.

Trainers hand a reward service conversations as one text, rendered with a model's chat template. The
marks that a template puts around turns are learnt by rendering fixed words with it. This works for
any template that renders turns one after the other. A policy may have another template than the
critic: `find_marks` has those of the formats in wide use. The content of a turn is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# Tokens that end a turn or a text in the formats of Qwen, Llama, Gemma, Phi, Mistral, DeepSeek.
END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eot|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<eos>",
    "<|end|>",
    "</s>",
    "<｜end▁of▁sentence｜>",
)
_ENDS = "|".join(map(re.escape, END_TOKENS))
_WORDS = ("firstquestion", "firstanswer", "secondquestion")  # no template changes or holds these


def strip_end_tokens(text: str, end_tokens: Sequence[str] = END_TOKENS) -> str:
    """The text without the end tokens, and the white space between and before them, at its end."""
    end = len(text)
    while True:  # moves `end`, so that a text of many end tokens is not copied once for each
        while end > 0 and text[end - 1].isspace():
            end -= 1
        ending = next((e for e in end_tokens if e and text.endswith(e, 0, end)), None)
        if ending is None:
            return text[:end]
        end -= len(ending)


@dataclass(frozen=True)
class ChatMarks:
    """`user`: the text before a user's turn that follows an answer. `assistant`: the text between a
    user's turn and the assistant's."""

    user: str
    assistant: str

    def find(self, text: str) -> int:
        """Where the first user's turn begins. -1 for a text in another format, which may mention
        a mark: after the turn comes the assistant's mark, or the text ends with an end token."""
        at = text.find(self.user)
        follows = text.find(self.assistant, at + len(self.user)) >= 0
        return at if at >= 0 and (follows or text.rstrip().endswith(END_TOKENS)) else -1

    def turns(self, text: str) -> list[tuple[str, str]]:
        """The turns of a conversation, from the first user's: the role, `user` or `assistant`, and
        the content as it is rendered. Empty for a text in another format.

        A mark that is not due, such as a user's in the middle of a question, is content.
        """
        if self.find(text) < 0:
            return []
        turns = []
        for role, start, end in self._spans(text):
            contents = [text[start:end]]
            if role == "user":  # users may have two turns in a row
                contents = re.split(rf"(?:{_ENDS})\s*{re.escape(self.user)}", contents[0])
            turns += [(role, content) for content in contents]
        return turns

    def question(self, prompt: str) -> str:
        """The last user's turn of a prompt that asks for an answer. A prompt in another format, or
        without a user's turn, is returned unchanged."""
        questions = [content for role, content in self.turns(prompt) if role == "user"]
        return questions[-1] if questions else prompt

    def answer(self, query: str, prompt: str) -> str | None:
        """The answer in a query: all that follows as many turns as its prompt has. None for a query
        in another format, or with fewer turns.

        The answer may hold marks itself; they cannot move where it begins.
        """
        roles = [role for role, _ in self.turns(prompt)]
        answers = roles.count("assistant") + (roles[-1:] == ["user"])
        for role, start, _ in self._spans(query):
            answers -= role == "assistant"
            if answers == 0:
                return query[start:] if role == "assistant" else None
        return None

    def _spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Role, start and end of each turn: users and the assistant by turns."""
        at, role, mark = text.find(self.user), "user", self.user
        while at >= 0:
            start = at + len(mark)
            mark = self.assistant if role == "user" else self.user
            at = text.find(mark, start)
            yield role, start, at if at >= 0 else len(text)
            role = "assistant" if role == "user" else "user"


# What begins a user's turn, and the answer after it: ChatML, Llama 3 and 4, Gemma, Phi and GLM,
# Granite, DeepSeek, Mistral.
FORMATS = tuple(
    ChatMarks(user, assistant)
    for user, assistant in (
        ("<|im_start|>user", "<|im_start|>assistant"),
        (
            "<|start_header_id|>user<|end_header_id|>",
            "<|start_header_id|>assistant<|end_header_id|>",
        ),
        ("<|header_start|>user<|header_end|>", "<|header_start|>assistant<|header_end|>"),
        ("<start_of_turn>user", "<start_of_turn>model"),
        ("<|user|>", "<|assistant|>"),
        ("<|start_of_role|>user<|end_of_role|>", "<|start_of_role|>assistant<|end_of_role|>"),
        ("<｜User｜>", "<｜Assistant｜>"),
        ("[INST]", "[/INST]"),
    )
)


def find_marks(text: str) -> ChatMarks | None:
    """The marks of the format in wide use whose user's turn is the first in a text; None for a text
    in none of them. Turns taken apart by them still have white space and end tokens around them."""
    places = [(place, marks) for marks in FORMATS if (place := marks.find(text)) >= 0]
    return min(places, key=lambda each: each[0])[1] if places else None


def chat_marks(tokenizer: Any) -> ChatMarks | None:
    """The marks of a tokenizer's chat template; None without a template, or one that shows no
    marks."""
    if getattr(tokenizer, "apply_chat_template", None) is None:
        return None
    roles = ("user", "assistant", "user")
    messages = [{"role": r, "content": w} for r, w in zip(roles, _WORDS, strict=True)]
    try:
        two_turns, three_turns = (
            tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
            for turns in (messages[:2], messages)
        )
    except Exception:  # no template, or one with conditions of its own
        return None
    _, _, rest = three_turns.partition(_WORDS[0])
    assistant, _, rest = rest.partition(_WORDS[1])
    between, last_turn, _ = rest.partition(_WORDS[2])
    end = two_turns.partition(_WORDS[1])[2]  # of the assistant's turn
    user = between.removeprefix(end)
    if not (last_turn and user.strip() and assistant.strip()):
        return None
    return ChatMarks(user, assistant.rstrip())  # a prompt may end without that white space
