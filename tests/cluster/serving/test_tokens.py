"""Where bearer tokens are read from, and which texts are refused as tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.serving.tokens import FILE_ENV, TOKENS_ENV, token_hashes
from genprm.errors import ConfigError

TOKEN, OTHER = "a-token-of-some-length", "another-token-of-some-length"


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKENS_ENV, raising=False)
    monkeypatch.delenv(FILE_ENV, raising=False)


def test_tokens_of_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert token_hashes() == ()
    monkeypatch.setenv(TOKENS_ENV, f"{TOKEN}, {OTHER}")
    both = token_hashes()
    assert len(both) == 2 and TOKEN not in "".join(both)
    path = tmp_path / "tokens"
    path.write_text(f"# of the trainer\n{TOKEN}\n\n{OTHER}\n")
    monkeypatch.setenv(FILE_ENV, str(path))
    assert token_hashes() == both * 2
    monkeypatch.delenv(TOKENS_ENV)
    assert token_hashes() == both


@pytest.mark.parametrize(
    "text", ["", " , ", "short", f"{TOKEN},with a blank inside", "tökentökentöken"]
)
def test_an_invalid_token_is_refused_without_being_shown(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKENS_ENV, text)
    with pytest.raises(ConfigError, match=TOKENS_ENV) as caught:
        token_hashes()  # and the service does not start open to everyone
    assert "\n" not in str(caught.value)
    message = str(caught.value)
    assert not any(len(part) > 4 and part in message for part in text.split(","))


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE_ENV, str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="absent: No such file"):
        token_hashes()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    monkeypatch.setenv(FILE_ENV, str(tmp_path / "bytes"))
    with pytest.raises(ConfigError, match="bytes: "):
        token_hashes()
    (tmp_path / "empty").write_text("# none\n")
    monkeypatch.setenv(FILE_ENV, str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="no token"):
        token_hashes()
