"""Answers that name an option, by its letter, by its text or by both."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.records import Problem
from genprm.verifiers import get_verifier, verifier_for
from genprm.verifiers.base import grade

BALL = "Which is round?\n(A) a box\n(B) a ball\n(C) a book"
LETTERS = "Which letter follows A?\n(A) B\n(B) C\n(C) A"  # the texts of options are letters, too
NUMBERS = "How much is 1 + 2?\n(A) 2\n(B) 3\n(C) 5"
AMC = r"How much is 1 + 2? $\textbf{(A)}\ 2\qquad\textbf{(B)}\ 3\qquad\textbf{(C)}\ 5$"
DOTS = "Which is round?\nA. a box\nB. a ball\nC. a book\nD. None of the above"
BACTERIA = "Which is a bacterium?\nA. E. coli\nB. a virus\nC. vitamin C\nD. C. elegans\nE. a fungus"
SMALL = "Which is round? a) a box b) a ball c) a book"
BOLD = "Which is round?\n**A)** a box\n**B)** a ball\n**C)** a book"
DIGITS = "Which is round?\n1) a box\n2) a ball\n3) a book"
NO_OPTIONS = "Which is round?"

# The problem, the reference and what a solution says; whether it is right.
SAMPLES = [
    (BALL, "(B)", answer, True)
    for answer in (
        # boxes
        r"\boxed{B}",
        r"\boxed{(B)}",
        r"\boxed{\text{B}}",
        r"\boxed{\text{(B)}}",
        r"\boxed{(\text{B})}",
        r"\boxed{\mathrm{B}}",
        r"\boxed{\mathbf{B}}",
        r"\boxed{\textbf{(B)}}",
        r"\boxed{\textbf{(B)}\ \text{a ball}}",
        r"\boxed{\text{(B) a ball}}",
        r"\boxed{\text{B. a ball}}",
        r"\boxed{\text{Option B}}",
        r"\boxed{\text{a ball}}",
        r"\boxed{\text{B}.}",
        r"\boxed{Option B}",
        r"\boxed{B, a ball}",
        r"\boxed{B) a ball}",
        r"\boxed{B: a ball}",
        r"\boxed{a ball}",
        r"\boxed{a\ ball}",
        r"\boxed{b}",
        r"\boxed{\mathrm{(b)}}",
        r"\fbox{B}",
        r"$\boxed B$",
        # statements
        "The answer is B.",
        "The answer is b.",
        "The answer is (b).",
        "The answer is [B].",
        "The answer is B)",
        "The answer is: (B) a ball",
        "The answer is (B) a ball.",
        "The answer is (B), a ball.",
        "The answer is (B): a ball.",
        "The answer is (B) - a ball.",
        "The answer is B. a ball",
        "The answer is B) a ball",
        "The answer is B: a ball",
        "The answer is B (a ball).",
        "The answer is B – a ball.",
        "The answer is a ball (B).",
        "The answer is a ball.",
        "The answer is A ball.",
        "The answer is a ball because it rolls.",
        "The answer is a ball, since it rolls.",
        "The answer is ball.",
        "The answer is 'a ball'.",
        "The answer is option B.",
        "The answer is option (B).",
        "The answer is Option B: a ball.",
        "The answer is choice B.",
        "The answer is B because it rolls",
        "The answer is (B) because it rolls.",
        "The answer is B, since it rolls.",
        "The answer is B as it rolls.",
        "The answer is **B**.",
        "The answer is **(B) a ball**.",
        "The answer is **B**, a ball.",
        "The answer is $B$.",
        r"The answer is $\textbf{(B)}$.",
        r"The answer is \(\text{B}\).",
        "The answer is `B`.",
        'The answer is "B".',
        "The correct answer is (B).",
        "The correct option is **B**",
        "The correct option is (B).",
        "The correct choice is B.",
        "The right option is B.",
        "The best answer is B.",
        "Correct option: B",
        "Answer: B",
        "Answer: (B) a ball",
        "**Answer:** B",
        "**Answer:** **B. a ball**",
        "Final Answer: (B)",
        "# Answer\n\nB",
        "The answer is:\n\n(B) a ball",
        "#### B",
        "#### (B)",
        "<answer>B</answer>",
        "Option B is correct.",
        "So option B is correct.",
        "Option (B) is the correct one.",
        "Only option B is right.",
        "(B) is correct.",
        "B is the correct answer.",
        "B is the answer.",
        "**(B)** is the correct option.",
        "I choose B.",
        "I would pick option B.",
        "It rolls. Therefore, (B).",
        "It rolls.\nSo (B) a ball.",
        "It rolls.\n(B)",
        "It rolls.\n\nB. a ball",
        "It rolls.\n**(B) a ball**",
        "(B)",
        "B",
        "B. ball",
        "B) a ball",
        # order
        "The answer is not A but B.",
        "The answer is not (A), it is (B).",
        "The answer is B, not A.",
        "The answer is A. Wait, a box has corners. The answer is B.",
        "Option A is correct? No: option B is correct.",
        "The answer is (B). Option A is not correct.",
        "The answer is (B). The others are no answer.",
        "\\boxed{B}\nThe answer is a round thing.",
        "\\boxed{B}\nThe answer is consistent with the statement.",
        "\\boxed{B}\n\n#### A check\n\nIt rolls.",
    )
]
WRONG = [
    (BALL, "(B)", answer, False)
    for answer in (
        r"\boxed{A}",
        r"\boxed{\text{A}}",
        r"\boxed{\text{(C) a book}}",
        r"\boxed{a box}",
        r"\boxed{A, B}",
        r"\boxed{A} and \boxed{B}",
        r"\boxed{AB}",
        "The answer is A.",
        "The answer is a box.",
        "The answer is A box.",
        "The answer is A because it rolls.",
        "The answer is (C) a book.",
        "The answer is option C.",
        "The answer is A, not B.",
        "The answer is A or B.",
        "The answer is both A and B.",
        "The answer is A and B.",
        "The answer is a balloon.",
        "The answer is Be.",
        "The answer is D.",
        "Option C is correct.",
        "The answer is B. Wait, it is the book that they mean. The answer is C.",
        "Therefore, (A).",
    )
]
UNDECIDED = [
    (BALL, "(B)", answer, None)
    for answer in (
        "The answer is not A.",
        "Option A is not correct.",
        "A ball rolls.",
        "It rolls.",
        "I see (B) and (C).",
    )
]
REFERENCES = [
    (BALL, "B", "The answer is (B).", True),
    (BALL, "b", "The answer is (B).", True),
    (BALL, "B.", "The answer is (B).", True),
    (BALL, "(B) a ball", "The answer is (B).", True),
    (BALL, "B. a ball", "The answer is a ball.", True),
    (BALL, "a ball", "The answer is (B).", True),
    (BALL, "a ball", "The answer is a ball.", True),
    (BALL, "A ball", "The answer is (B).", True),
    (BALL, "a ball", "The answer is (A).", False),
    (BALL, "a ball", "The answer is a box.", False),
    (BALL, "Option B", "The answer is (B).", True),
    (BALL, r"\text{B}", "The answer is (B).", True),
    (BALL, r"\boxed{\text{B}}", "The answer is (B).", True),
    (BALL, "The answer is (B).", r"\boxed{B}", True),
    (BALL, "#### B", r"\boxed{B}", True),
    (BALL, "A", "The answer is a ball.", False),
    (BALL, "A", "The answer is a box.", True),
    (BALL, "A", "The answer is A.", True),
    (BALL, "A, B", "The answer is A and B.", True),
    (BALL, "A,B", r"\boxed{B, A}", True),
    (BALL, "A,B", r"\boxed{A} and \boxed{B}", True),
    (BALL, "A,B", r"\boxed{A}", False),
    (LETTERS, "(A)", "The answer is (A) B.", True),
    (LETTERS, "(A)", "The answer is A.", True),
    (LETTERS, "(A)", "The answer is B.", False),
    (LETTERS, "(A)", "The answer is (C) A.", False),
    (LETTERS, "C", r"\boxed{\text{C}}", True),
    (NUMBERS, "B", "The answer is 3.", True),
    (NUMBERS, "B", "The answer is $3$.", True),
    (NUMBERS, "B", r"\boxed{3}", True),
    (NUMBERS, "B", r"\boxed{\text{(B) } 3}", True),
    (NUMBERS, "B", "The answer is 2.", False),
    (NUMBERS, "B", "The answer is 3, since 1 + 2 = 3.", True),
    (NUMBERS, "3", "The answer is (B).", True),
    (NUMBERS, "3", "The answer is (C) 5.", False),
    (AMC, "B", r"\boxed{\textbf{(B)}\ 3}", True),
    (AMC, "B", r"\boxed{\textbf{(B) } 3}", True),
    (AMC, "B", r"\boxed{3}", True),
    (AMC, "B", r"\boxed{\textbf{(C)}\ 5}", False),
    (AMC, "3", r"\boxed{B}", True),
    (DOTS, "B", "The answer is a ball.", True),
    (DOTS, "B", "The answer is (B).", True),
    (DOTS, "D", "The answer is none of the above.", True),
    (DOTS, "D", "The answer is D. None of the above", True),
    (DOTS, "a ball", "Option B is correct.", True),
    (BACTERIA, "A", "The answer is E. coli.", True),
    (BACTERIA, "E", "The answer is E. coli.", False),
    (BACTERIA, "E", "The answer is E. a fungus", True),
    (BACTERIA, "C", "The answer is vitamin C.", True),
    (BACTERIA, "D", "The answer is C. elegans.", True),
    (BACTERIA, "C", "The answer is C. elegans.", False),
    (SMALL, "b", "The answer is a ball.", True),
    (SMALL, "b", "The answer is (b).", True),
    (SMALL, "B", "The answer is b) a ball.", True),
    (SMALL, "a", "The answer is a ball.", False),
    (BOLD, "B", "The answer is a ball.", True),
    (BOLD, "B", "**B)** a ball", True),
    (DIGITS, "2", "The answer is 2.", True),
    (DIGITS, "2", "The answer is option 2.", True),
    (DIGITS, "2", "The answer is (2) a ball.", True),
    (DIGITS, "2", "The answer is a ball.", True),
    (DIGITS, "2", "The answer is 1.", False),
    (NO_OPTIONS, "(B)", "The answer is B.", True),
    (NO_OPTIONS, "(B)", "The answer is (B) a ball.", True),
    (NO_OPTIONS, "(B)", "The answer is (A) a box.", False),
    (NO_OPTIONS, "a ball", "The answer is a ball.", True),
    (NO_OPTIONS, "yes", "The answer is Yes.", True),
    (NO_OPTIONS, "no", "The answer is Yes.", False),
]


PLANETS = "Which planet is largest?\nA. Mars\nB. Jupiter\nC. Venus\nD. Earth"
STATEMENTS = "Which is true?\n(A) I only\n(B) II only\n(C) Both I and II\n(D) Neither"
TRUTHS = "1: x. 2: y.\nA. True, True\nB. False, False\nC. True, False\nD. False, True"
FACTS = "What is true?\n(A) Water boils at 90 degrees.\n(B) It has 4 legs.\n(C) There are 5 seas."
REMARKS = [
    (PLANETS, "C", "The correct answer is C. Option B is correct in a different context.", True),
    (PLANETS, "A", "**The correct answer is (A).**\n- (B) is the answer to another one.", True),
    (PLANETS, "A", "The answer is A. B is the right answer only if x > 2.", True),
    (PLANETS, "B", "The answer is B, since I would choose A only if x > 2.", True),
    (PLANETS, "B", "Answer: B\n\nA is hot; option C is the best for the hottest one.", True),
    (PLANETS, "B", "The answer is B. For the hottest planet, the answer would be C.", True),
    (PLANETS, "C", "The answer is B. Wait, that is wrong. Option C is correct.", True),
    (PLANETS, "B", "Answer：B。", True),
    (PLANETS, "B", "The answer is（B）。", True),
    (PLANETS.replace(". ", "："), "B", "The answer is Jupiter。", True),
]
FORMS = [
    (PLANETS, "B", "The answer is Jupiter, option B.", True),
    (PLANETS, "B", "The answer is Jupiter (option B).", True),
    (PLANETS, "A", "The answer is Jupiter, option B.", False),
    (PLANETS, "B", "It is big.\nB: Jupiter", True),
    (PLANETS, "B", "A: Mars is small.\nB: Jupiter is big.", None),
    (STATEMENTS, "C", "The answer is both I and II.", True),
    (STATEMENTS, "C", "The answer is (C) Both I and II.", True),
    (STATEMENTS, "A", "The answer is both I and II.", False),
    (TRUTHS, "C", "The answer is True, False.", True),
    (TRUTHS, "C", "Answer: (C) True, False", True),
    (TRUTHS, "A", "The answer is True, False.", False),
    (FACTS, "B", "The answer is It has 4 legs.", True),  # sentences are options here
    (FACTS, "B", "The answer is that there are 5 seas.", False),
]
CONTRADICTORY = [
    (problem, "B", answer, False)
    for problem, answer in (
        (BALL, "The answer is (B) a box."),
        (BALL, "The answer is (B): a book."),
        (BALL, "The answer is a box (B)."),
        (BALL, r"\boxed{\text{(B) a box}}"),
        (PLANETS, "The answer is Mars, option B."),
        (PLANETS, r"\boxed{B. Mars}"),
    )
] + [(BALL, "A", "The answer is (B) a box.", False), (BALL, "B", "The answer is (B) round.", True)]


@pytest.mark.parametrize(
    ("problem", "reference", "solution", "right"),
    SAMPLES + WRONG + UNDECIDED + REFERENCES + REMARKS + FORMS + CONTRADICTORY,
)
def test_an_option_by_its_letter_or_text(
    problem: str, reference: str, solution: str, right: bool | None
) -> None:
    row = Problem(id="p", problem=problem, answer=reference, task="choice")
    assert grade(verifier_for(row), row, [solution]).correct is right


@pytest.mark.timeout(60)
@pytest.mark.parametrize("hostile", ["*", "A. ", "(A) a ", " ", "A, "])
def test_options_are_read_in_linear_time(hostile: str) -> None:
    text = hostile * (300_000 // len(hostile))  # quadratic: many minutes
    row = Problem(id="p", problem=text, answer="B", task="choice")
    assert grade(get_verifier("choice"), row, [text]).correct is not True


OPTIONS = "Alice has\nOptions:\n(A) The Great Gatsby.\n(B) Ulysses.\n(C) Moby Dick."


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("(B)", "(B)", True),
        (" (b) ", "(B)", True),
        ("B.", "(B)", True),
        ("(B) Ulysses.", "B", True),
        ("ulysses", "(B)", True),
        ("(C)", "(B)", False),
        ("Moby Dick", "(B)", False),
        ("Alice", "(A)", False),
        ("Bob:red ,Alice:  Lime.", "Alice: lime, Bob: red", True),
        ("Alice: lime, and Bob: red", "Alice: lime, Bob: red", True),
        ("Alice: red, Bob: lime", "Alice: lime, Bob: red", False),
        ("Alice: lime", "Alice: lime, Bob: red", False),
        ("Alice: lime, Bob: red, Claire: blue", "Alice: lime, Bob: red", False),
        ("Alice: lime, Alice: lime, Bob: red", "Alice: lime, Bob: red", False),
        ("lime, red", "Alice: lime, Bob: red", False),
        (
            "Alice: Crime, and Punishment, Bob: Emma",
            "Bob: Emma, Alice: Crime, and Punishment",
            True,
        ),
        ("Yes", "yes.", True),
    ],
)
def test_choice_answer_forms(answer: str, reference: str, expected: bool) -> None:
    assert (
        get_verifier("choice").check(answer, Problem(id="p", problem=OPTIONS, answer=reference))
        is expected
    )


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("ABCDEF", min_size=1), st.text("xyz ", min_size=1).filter(str.strip), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_assignments_compare_in_any_order(pairs: dict[str, str], rng: object) -> None:
    assignments = [f"{name}: {thing}" for name, thing in pairs.items()]
    shuffled = list(assignments)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    check = get_verifier("choice").check
    assert (
        check(",".join(shuffled), Problem(id="p", problem="?", answer=", ".join(assignments)))
        is True
    )
    wrong = [*assignments[:-1], assignments[-1] + "w"]
    assert (
        check(", ".join(wrong), Problem(id="p", problem="?", answer=", ".join(assignments)))
        is False
    )
