"""Takes a conversation that was rendered as one text apart into its turns.

Trainers hand a reward service conversations as one text, rendered with a model's chat template. The
marks that a template puts around turns are learnt by rendering fixed words with it. This works for
any template that renders turns one after the other; nothing here knows ChatML or any other format.
The content of a turn is not checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Tokens that end a turn or a text in the formats of Qwen, Llama, Gemma, Phi, Mistral, DeepSeek.
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
    """`user`: the text before a user's turn that follows an answer. `assistant`: the text between a
    user's turn and the assistant's."""

    user: str
    assistant: str

    def turns(self, text: str) -> tuple[str, str] | None:
        """The first user's turn of a conversation, and the answer: the rest of the text. None for a
        text in another format.

        The answer may hold marks itself; they cannot move where it begins.
        """
        _, _, rest = text.partition(self.user)
        question, mark, answer = rest.partition(self.assistant)
        return (question, answer) if mark else None

    def question(self, prompt: str) -> str:
        """The last user's turn of a prompt that asks for an answer. A prompt in another format, or
        without a user's turn, is returned unchanged."""
        _, mark, turn = prompt.rpartition(self.user)
        return turn.partition(self.assistant)[0] if mark else prompt


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
    return ChatMarks(user, assistant) if last_turn and user.strip() and assistant.strip() else None
