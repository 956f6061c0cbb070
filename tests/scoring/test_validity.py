"""A critic that cannot be heard is called so, in one line."""

from __future__ import annotations

import pytest

from genprm.scoring.validity import describe_untrained


@pytest.mark.parametrize(
    ("invalid", "critiques", "untrained"),
    [(0, 0, False), (0, 10, False), (5, 10, False), (6, 10, True), (1200, 1200, True)],
)
def test_most_critiques_invalid(invalid: int, critiques: int, untrained: bool) -> None:
    line = describe_untrained("native", invalid, critiques)
    assert (line is not None) is untrained
    if line is not None:
        assert line.startswith(f"{invalid:,} of {critiques:,} critiques are invalid")
        assert "'native'" in line and "genprm train" in line and "\n" not in line
