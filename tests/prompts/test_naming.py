"""Which step a verdict is about: the one that the critique names, else the next in order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
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
        (f"Step $3$: no. {BAD}", [(2,)]),
        (f"Step `3`: no. {BAD}", [(2,)]),
        (f"Step-3: no. {BAD}", [(2,)]),
        (f"Step [3]: no. {BAD}", [(2,)]),
        (f"(Step 3) No. {BAD}", [(2,)]),
        (f"Step No. 3: no. {BAD}", [(2,)]),
        (f"(3) no. {BAD}", [(2,)]),
        (f"The final step: bad. {BAD}", [(2,)]),
        (f"Last step: bad. {BAD}", [(2,)]),
        (f"Fine. {GOOD}\nThe last step gave 2, so 3. {BAD}", [(0,), (1,)]),
        # named at the beginning of a clause, with a word before it
        (f"In step 2, 5*2=11 is wrong. {BAD}", [(1,)]),
        (f"In step 1, 1+1=2. {GOOD}\nIn step 3, 5*2=11. {BAD}", [(0,), (2,)]),
        (f"In step 1, 1+1=2. {GOOD}\nMoving on to step 3. It is wrong. {BAD}", [(0,), (2,)]),
        (f"Fine. {GOOD}\nLet's go to step 3. It is wrong. {BAD}", [(), (2,)]),
        (f"Let's move on to step 3: it is wrong. {BAD}", [(2,)]),
        (f"With step 3 comes a slip. {BAD}", [(2,)]),
        (f"Now, in step 3 it adds 2. {BAD}", [(2,)]),
        (f"In step 2, it uses 3 from step 1. Step 1 has 4. {BAD}", [(1,)]),
        (f"Step 1: ok. {GOOD}\nIn step 3, it is wrong. {BAD}", [(0,), (2,)]),
        (f"Step 2: ok. {GOOD}\nStep 3: in step 1, it was 3. {BAD}", [(1,), (2,)]),
        (f"As step 1 says 5, step 2 is wrong. {BAD}", [(1,)]),
        (f"Starting with step 1, fine. {GOOD}\nContinuing with step 3, no. {BAD}", [(0,), (2,)]),
        (f"Step 1 is fine and step 2 is not. {BAD}", [()]),
        (f"Step 1 is ok. {GOOD}\nThe error is in step 3. {BAD}", [(0,), ()]),
        (f"Step 1: ok. {GOOD}\nThe error is in step 3. {BAD}", [(0,), ()]),
        # a source, which may be the step in question or not
        (f"Fine. {GOOD}\nThe 11 from step 2 is wrong. {BAD}", [(), ()]),
        (f"According to step 2, it is 11. {BAD}", [()]),
        (f"Fine. {GOOD}\nIn step 1 we had 2, so 5 is wrong. {BAD}", [(), ()]),
        # another step named on the way
        (f"Step 2: this contradicts step 1: 7, not 8. {BAD}", [(1,)]),
        (f"Step 2: Looking back at step 1: x=3. {BAD}", [(1,)]),
        (f"Step 2: 3*2=6.\nRecall step 1: x = 3. {BAD}", [(1,)]),
        (f"### Step 2\nIt uses:\n- Step 1: x=5\nso 10, not 11. {BAD}", [(1,)]),
        (
            "Step 2: they should have done:\nStep 1: a\nStep 2: b\nStep 3: c\nbut wrong. " + BAD,
            [(1,)],
        ),
        (f"Step 3: ok. {GOOD}\nStep 1: see\nStep 3: 5\nso no. {BAD}", [(2,), (0,)]),
        (f"Step 1: so.\nStep 2: so.\nStep 3: no. {BAD}", [(2,)]),
        (f"Step 1: a\nStep 3: b\nno. {BAD}", [()]),
        (f"Step 1: ok. {GOOD}\nStep 2: we have\nStep 1 gave 2, so 3. {BAD}", [(0,), (1,)]),
        (f"Step 1: ok. {GOOD}\nStep 3: as in step 1: wrong. {BAD}", [(0,), (2,)]),
        (f"Step 1: 2\nStep 2: 4\nStep 3: 8\n\nStep 1: fine. {GOOD}", [(0,)]),
        # one step twice
        (f"Step 1: {GOOD}\nWait, step 1 again: {BAD}\nStep 2: {GOOD}", [(0,), (0,), (1,)]),
        (f"Step 1: no. {BAD}. No, it is. {GOOD}\nStep 2: no. {BAD}", [(0,), (0,), (1,)]),
        (f"Step 1: no. {BAD}\nWait, it is. {GOOD}\nStep 2: no. {BAD}", [(0,), (0,), (1,)]),
        (f"1 + 1? {BAD}. No, it is right. {GOOD}\nAnd 3? {BAD}", [(0,), (0,), (1,)]),
        (f"Step 1: no. {BAD}\nIt is, after all. {GOOD}\nStep 2: no. {BAD}", [(0,), (0,), (1,)]),
        # words that only begin like one that takes a verdict back
        (f"2+3=5. {GOOD}\nWait time is 5 minutes. {GOOD}\nNo. {BAD}", [(0,), (1,), (2,)]),
        (f"Fine. {GOOD}\nCorrection of units: ok. {GOOD}\nNo. {BAD}", [(0,), (1,), (2,)]),
        (f"Fine. {GOOD}\nReread pages: 3. {GOOD}\nNo. {BAD}", [(0,), (1,), (2,)]),
        (f"Fine. {GOOD}\nLet me read the units. {GOOD}\nNo. {BAD}", [(0,), (1,), (2,)]),
        (f"Fine. {GOOD} Rather than 2 it has 3. {GOOD} So 4. {BAD}", [(0,), (1,), (2,)]),
        (f"Fine. {GOOD}\nWaiting takes 5. {GOOD}\nSorry state. {BAD}", [(0,), (1,), (2,)]),
        (f"Step 1: no. {BAD}\nWait, it is used in step 2. {GOOD}", [(0,), (0,)]),
        # without a name between two
        (f"Step 1: ok. {GOOD}\nThe next: {GOOD}\nStep 3: no. {BAD}", [(0,), (1,), (2,)]),
        (f"Step 1: ok. {GOOD}\nThe next: {GOOD}\nAnd: {BAD}", [(0,), (1,), (2,)]),
        (f"Fine: {GOOD}\nStep 3: no. {BAD}", [(), (2,)]),
        # several at once
        (f"Steps 1 and 2: fine. {GOOD}\nStep 3: no. {BAD}", [(0, 1), (2,)]),
        (f"Steps 1-3: fine. {GOOD}", [(0, 1, 2)]),
        (f"Steps 1, 2 and 3: not fine. {BAD}", [()]),
        (f"Step 1 and 2 are fine. {GOOD}", [(0, 1)]),
        (f"Step 1 and step 2 are fine. {GOOD}", [(0, 1)]),
        (f"Step 1, 2 and 3 are fine. {GOOD}", [(0, 1, 2)]),
        (f"Step 1 and 2+3=5 is fine. {GOOD}", [(0,)]),
        (f"Step 1, 2+3=5, is fine. {GOOD}", [(0,)]),
        # not there
        (f"Step 1: ok. {GOOD}\nStep 4: no. {BAD}", [(0,), ()]),
        (f"Step 0: no. {BAD}", [()]),
        (f"Step 12345678901234567890: no. {BAD}", [()]),
        (f"Step {'1' * 5000}: no. {BAD}", [()]),
        # a number many times
        (f"Steps 1, 1, 1, 2 and 1: fine. {GOOD}", [(0, 1)]),
    ],
)
def test_places(text: str, expected: list[tuple[int, ...]]) -> None:
    assert places(text) == expected


@pytest.mark.parametrize(
    "phrase", ["Wait", "Hold on", "Oops", "Sorry", "Correction", "Scratch that", "Let me recheck"]
)
@pytest.mark.parametrize("mark", [",", ":", ".", " -", "..."])
def test_a_verdict_taken_back_is_about_the_same_step(phrase: str, mark: str) -> None:
    assert places(f"So. {GOOD}\n{phrase}{mark} it is 3. {BAD}") == [(0,), (0,)]


@given(
    st.sampled_from(["from step 1 ", "steps 1, 1 ", "step ", "\n", ". ", "Step 2: ", GOOD]),
    st.sampled_from([THINKPRM, NATIVE]),
)
@settings(max_examples=14, deadline=None)
def test_only_the_text_right_before_a_number_is_looked_at(piece: str, pack: PromptPack) -> None:
    """Long texts take time by their length, not by its square: this one is done at once."""
    end = f"{pack.opener}{pack.correct_label}{pack.closer}"
    assert len(places(piece * (100_000 // len(piece)) + end, pack=pack)) >= 1


def test_numbers_and_the_word_for_a_step_are_the_packs() -> None:
    changes = {"step_form": "Paragraph {number}: {step}", "first_number": 0}
    pack = THINKPRM.model_copy(update=changes)
    assert places(f"Paragraph 0: ok. {GOOD}\nParagraph 2: no. {BAD}", pack=pack) == [(0,), (2,)]


def test_an_unclear_verdict_ends_what_order_can_tell() -> None:
    text = "One.\nVerdict: perhaps\nTwo.\nVerdict: correct"
    assert places(text, pack=NATIVE) == [(0,), ()]
    text = "Step 1: so.\nVerdict: perhaps\nStep 2: so.\nVerdict: correct"
    assert places(text, pack=NATIVE) == [(0,), (1,)]


HEADINGS = (
    *("Step {}: ", "**Step {}**\n", "### Step {}\n", "1. Step {} - ", "Step ${}$: ", "Step `{}`: "),
    *("Step-{}: ", "(Step {}) ", "STEP {}. ", "\\textbf{{Step {}:}} "),
)
OPENINGS = (
    "In step {}, ",
    "Step {} says ",
    "Moving on to step {}. ",
    "With step {}, ",
    "Now step {}: ",
)
REFERENCES = (
    *(
        "",
        "It contradicts step {}: 7. ",
        "Looking back at step {}: x=3. ",
        "\nRecall step {}: x=3. ",
    ),
    *(
        "It uses:\n- Step {}: x=5\n",
        "By step {}, x=5. ",
        "It has 5 from step {}. ",
        "In step {}, x=5. ",
    ),
)


@given(
    st.integers(1, 9),
    st.integers(0, 2**20),
    st.sampled_from([THINKPRM, NATIVE]),
    st.sampled_from([HEADINGS, OPENINGS]),
)
def test_named_verdicts_come_back_in_any_order(
    steps: int, seed: int, pack: PromptPack, forms: tuple[str, ...]
) -> None:
    """Steps judged in any order, some twice, some never, some that are not there; where they have
    headings, with references to earlier steps and to those that were judged before."""
    rng = random.Random(seed)
    numbers = [rng.randint(1, steps + 2) for _ in range(rng.randint(1, 2 * steps))]
    end = f"{pack.opener}{pack.correct_label}{pack.closer}"
    parts = []
    for place, n in enumerate(numbers):
        reference = rng.choice(REFERENCES if forms == HEADINGS else REFERENCES[:1])
        reference = reference.format(rng.choice([*range(1, n + 1), *numbers[:place]]))
        parts.append(f"{rng.choice(forms).format(n)}{reference}{n} + 1 = {n + 1}.{end}")
    expected = [(n - 1,) if n <= steps else () for n in numbers]
    assert places("\n".join(parts), steps, pack) == expected


@given(st.text(alphabet="stepSTEP 0123,.:-–*#()\n\\boxed{corti}", max_size=120), st.integers(1, 4))
def test_any_text_has_places_for_its_verdicts(text: str, steps: int) -> None:
    answer = places(f"{text}{GOOD}\n{text}{BAD}", steps)
    assert all(0 <= place < steps for each in answer for place in each)
