"""Loading tokenizers: one line for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpe import bpe
from genprm.errors import ConfigError
from genprm.models.tokenizers import load_tokenizer


def test_a_tokenizer_is_loaded(tmp_path: Path) -> None:
    bpe().save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).get_vocab() == bpe().get_vocab()


@pytest.mark.slow
@pytest.mark.parametrize("broken", [None, "{", '{"model": 3}'])
def test_a_directory_without_one_is_a_config_error_in_one_line(
    broken: str | None, tmp_path: Path
) -> None:
    if broken is not None:
        bpe().save_pretrained(tmp_path)
        (tmp_path / "tokenizer.json").write_text(broken)
    with pytest.raises(ConfigError, match="no tokenizer") as caught:
        load_tokenizer(str(tmp_path), key="engine.extra.tokenizer")
    assert str(caught.value).startswith(f"engine.extra.tokenizer: {tmp_path}: ")
    assert "\n" not in str(caught.value)
