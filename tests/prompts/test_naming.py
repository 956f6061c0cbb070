"""Which step a verdict is about: the one that the critique names, else the next in order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.prompts.naming import verdict_places
from genprm.prompts.packs import PromptPack, load_pack
from genprm.prompts.verdict import stated_verdicts

THINKPRM, NATIVE = load_pack("thinkprm"), load_pack("native-solution")
GOOD, BAD = "The step is \\boxed{correct}", "The step is \\boxed{incorrect}"


def places(text: str, steps: int = 3, pack: PromptPack = THINKPRM) -> list[tuple[int, ...]]:
    return verdict_places(pack, text, stated_verdicts(pack, text), steps)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        # without names: by order
        (f"Fine. {GOOD}\nFine. {GOOD}\nNo. {BAD}", [(0,), (1,), (2,)]),
        (f"Fine. {GOOD} Fine. {GOOD} Fine. {GOOD}", [(0,), (1,), (2,)]),
        (f"In step 1 we saw 2. {GOOD}\nBy step 1, it is 3. {BAD}", [(0,), (1,)]),
        (f"{GOOD}\n" * 4, [(), (), (), ()]),
        # forms of a heading
        (f"**Step 2**: no. {BAD}", [(1,)]),
        (f"### Step 3\n\nIt is wrong. {BAD}", [(2,)]),
        (f"1. Step 1 - fine. {GOOD}\n2. Step 3 - no. {BAD}", [(0,), (2,)]),
        (f"STEP 2: no. {BAD}", [(1,)]),
        (f"Step #2. It is wrong. {BAD}", [(1,)]),
        (f"Now check step 2: it is wrong. {BAD}", [(1,)]),
        (f"Critique of step 3: it is wrong. {BAD}", [(2,)]),
        (f"Step two: it is wrong. {BAD}", [(1,)]),
        (f"The second step: it is wrong. {BAD}", [(1,)]),
        (f"Step 1: fine. {GOOD}. Step 3: no. {BAD}", [(0,), (2,)]),
        (f"1. Fine. {GOOD}\n3. No. {BAD}", [(0,), (2,)]),
        (f"1. Fine. {GOOD}\n\n**2)** No. {BAD}", [(0,), (1,)]),
        (f"1. Fine. {GOOD}\n1. Again. {BAD}\n2. Fine. {GOOD}", [(0,), (0,), (1,)]),
        (f"1. Fine. {GOOD}\nIt is 3.5. {BAD}", [(0,), (1,)]),
        # named in a sentence, where every verdict is
        (f"Step 1 is fine. {GOOD}\nStep 3 is not. {BAD}", [(0,), (2,)]),
        # another step named on the way
        (f"Step 1: ok. {GOOD}\nStep 2: we have\nStep 1 gave 2, so 3. {BAD}", [(0,), (1,)]),
        (f"Step 1: ok. {GOOD}\nStep 3: as in step 1: wrong. {BAD}", [(0,), (2,)]),
        (f"Step 1: 2\nStep 2: 4\nStep 3: 8\n\nStep 1: fine. {GOOD}", [(0,)]),
        # one step twice
        (f"Step 1: {GOOD}\nWait, step 1 again: {BAD}\nStep 2: {GOOD}", [(0,), (0,), (1,)]),
        (f"Step 1: no. {BAD}. No, it is. {GOOD}\nStep 2: no. {BAD}", [(0,), (0,), (1,)]),
        (f"Step 1: no. {BAD}\nWait, it is. {GOOD}\nStep 2: no. {BAD}", [(0,), (0,), (1,)]),
        (f"1 + 1? {BAD}. No, it is right. {GOOD}\nAnd 3? {BAD}", [(0,), (0,), (1,)]),
        (f"Step 1: no. {BAD}\nIt is, after all. {GOOD}\nStep 2: no. {BAD}", [(0,), (0,), (1,)]),
        # without a name between two
        (f"Step 1: ok. {GOOD}\nThe next: {GOOD}\nStep 3: no. {BAD}", [(0,), (1,), (2,)]),
        (f"Step 1: ok. {GOOD}\nThe next: {GOOD}\nAnd: {BAD}", [(0,), (1,), (2,)]),
        (f"Fine: {GOOD}\nStep 3: no. {BAD}", [(), (2,)]),
        # several at once
        (f"Steps 1 and 2: fine. {GOOD}\nStep 3: no. {BAD}", [(0, 1), (2,)]),
        (f"Steps 1-3: fine. {GOOD}", [(0, 1, 2)]),
        (f"Steps 1, 2 and 3: not fine. {BAD}", [()]),
        # not there
        (f"Step 1: ok. {GOOD}\nStep 4: no. {BAD}", [(0,), ()]),
        (f"Step 0: no. {BAD}", [()]),
        (f"Step 12345678901234567890: no. {BAD}", [()]),
    ],
)
def test_places(text: str, expected: list[tuple[int, ...]]) -> None:
    assert places(text) == expected


def test_numbers_and_the_word_for_a_step_are_the_packs() -> None:
    changes = {"step_form": "Paragraph {number}: {step}", "first_number": 0}
    pack = THINKPRM.model_copy(update=changes)
    assert places(f"Paragraph 0: ok. {GOOD}\nParagraph 2: no. {BAD}", pack=pack) == [(0,), (2,)]


def test_an_unclear_verdict_ends_what_order_can_tell() -> None:
    text = "One.\nVerdict: perhaps\nTwo.\nVerdict: correct"
    assert places(text, pack=NATIVE) == [(0,), ()]
    text = "Step 1: so.\nVerdict: perhaps\nStep 2: so.\nVerdict: correct"
    assert places(text, pack=NATIVE) == [(0,), (1,)]


@given(st.integers(1, 9), st.integers(0, 2**20), st.sampled_from([THINKPRM, NATIVE]))
def test_named_verdicts_come_back_in_any_order(steps: int, seed: int, pack: PromptPack) -> None:
    """Steps judged in any order, some twice, some never, some that are not there."""
    rng = random.Random(seed)
    numbers = [rng.randint(1, steps + 2) for _ in range(rng.randint(1, 2 * steps))]
    label = pack.correct_label
    parts = [f"Step {n}: {n} + 1 = {n + 1}.{pack.opener}{label}{pack.closer}" for n in numbers]
    expected = [(n - 1,) if n <= steps else () for n in numbers]
    assert places("\n".join(parts), steps, pack) == expected


@given(st.text(alphabet="stepSTEP 0123,.:-–*#()\n\\boxed{corti}", max_size=120), st.integers(1, 4))
def test_any_text_has_places_for_its_verdicts(text: str, steps: int) -> None:
    answer = places(f"{text}{GOOD}\n{text}{BAD}", steps)
    assert all(0 <= place < steps for each in answer for place in each)
