"""The texts that a chat template puts around turns, and a conversation taken apart by them.

Trainers hand a reward service whole conversations as one text, rendered with the template of a
model. Of any template that renders turns one after the other the marks are learnt by rendering
known words; nothing here knows ChatML or any other format. What a turn says is never checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# What ends a turn or a text in the chat formats of Qwen, Llama, Gemma, Phi, Mistral, DeepSeek.
END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<eos>",
    "<|end|>",
    "</s>",
    "<｜end▁of▁sentence｜>",
)
_WORDS = ("firstquestion", "firstanswer", "secondquestion")  # no template changes or holds these


@dataclass(frozen=True)
class ChatMarks:
    """What stands before a user's turn that follows an answer, and between a user's turn and the
    assistant's."""

    user: str
    assistant: str

    def turns(self, text: str) -> tuple[str, str] | None:
        """The first user's turn of a conversation and what the assistant says after it, up to the
        end of the text; None for a text in another format.

        The answer may hold marks of its own: it cannot move where it begins.
        """
        _, _, rest = text.partition(self.user)
        question, found, answer = rest.partition(self.assistant)
        return (question, answer) if found else None

    def question(self, prompt: str) -> str:
        """The last user's turn of a prompt that asks for an answer; a prompt in another format, or
        without one, as it is."""
        _, found, turn = prompt.rpartition(self.user)
        return turn.partition(self.assistant)[0] if found else prompt


def chat_marks(tokenizer: Any) -> ChatMarks | None:
    """The marks of a tokenizer's chat template; None without a template, or one that shows no
    marks."""
    if getattr(tokenizer, "apply_chat_template", None) is None:
        return None
    roles = ("user", "assistant", "user")
    messages = [{"role": r, "content": w} for r, w in zip(roles, _WORDS, strict=True)]
    try:
        answered, whole = (
            tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
            for turns in (messages[:2], messages)
        )
    except Exception:  # no template, or one with conditions of its own
        return None
    _, _, rest = whole.partition(_WORDS[0])
    assistant, _, rest = rest.partition(_WORDS[1])
    between, found, _ = rest.partition(_WORDS[2])
    end = answered.partition(_WORDS[1])[2]  # of a turn of the assistant's
    user = between.removeprefix(end)
    return ChatMarks(user, assistant) if found and user.strip() and assistant.strip() else None
