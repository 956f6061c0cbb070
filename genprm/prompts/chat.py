"""Takes a conversation that was rendered as one text apart into its turns.

Trainers hand a reward service conversations as one text, rendered with a model's chat template. The
marks that a template puts around turns are learnt by rendering fixed words with it. This works for
any template that renders turns one after the other. A policy may have another template than the
critic: `known_marks` has those of the formats in wide use. The content of a turn is not checked.
"""

from __future__ import annotations

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


# What begins a user's turn, and the answer after it: ChatML, Llama 3 and 4, Gemma, Phi and GLM,
# Granite, DeepSeek, Mistral.
KNOWN = tuple(
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


def known_marks(text: str) -> ChatMarks | None:
    """The marks of the format in wide use whose user's turn is the first in a text; None for a text
    in none of them. Turns taken apart by them still have white space and end tokens around them."""
    places = [(place, marks) for marks in KNOWN if (place := text.find(marks.user)) >= 0]
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
    return ChatMarks(user, assistant) if last_turn and user.strip() and assistant.strip() else None
