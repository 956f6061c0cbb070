"""Loading a model's tokenizer, with one error for whatever can be wrong with it."""

from __future__ import annotations

from typing import Any

from genprm.errors import ConfigError, one_line


def load_tokenizer(name: str, *, key: str | None = None) -> Any:
    """The transformers tokenizer of a model directory or Hugging Face name.

    Args:
        name: what `resolve_model` returned.
        key: the config key that names the tokenizer, for the error message.

    Raises:
        ConfigError: no such model, or files that hold no tokenizer.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except Exception as error:  # a broken file raises whatever the libraries run into
        place = f"{key}: {name}" if key else name
        raise ConfigError(f"{place}: no tokenizer: {one_line(error, 300)}") from None
