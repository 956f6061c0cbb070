"""Which text of a solution is its final answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.records import Problem
from genprm.verifiers import get_verifier
from genprm.verifiers.base import grade
from genprm.verifiers.extraction import extract_final_answer

# A text and the answer that it states, None for none. The kinds are those that people met.
BOXES = [
    (r"So $\boxed{24}$.", "24"),
    (r"So $\boxed {24}$.", "24"),
    (r"So $\boxed 8$", "8"),
    (r"So $\boxed8$", "8"),
    (r"So $\boxed24$", "24"),  # what TeX boxes is the 2; what people mean is 24
    (r"So $\boxed 24$.", "24"),
    (r"So $\boxed -3$", "-3"),
    (r"So $\boxed x$", "x"),
    (r"So $\boxed \frac{1}{2}$", r"\frac{1}{2}"),
    (r"So $\boxed\pi$", r"\pi"),
    (r"So $\fbox{24}$", "24"),
    (r"So \fbox {24}", "24"),
    (r"So \framebox{24}", "24"),
    (r"So $\boxed{\boxed{24}}$", "24"),
    (r"So $\boxed{\fbox{24}}$", "24"),
    (r"So $\boxed{ 24 }$", "24"),
    (r"So $\boxed{$24$}$", "24"),
    (r"So $\boxed{24.}$", "24"),
    (r"So $\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
    (r"So $\boxed{\{1, 2\}}$", r"\{1, 2\}"),
    (r"So $\boxed{\text{B}}$", r"\text{B}"),
    (r"So $\boxed{x = \frac{a}{b}}$", r"x = \frac{a}{b}"),
    ("So\n\\[\n\\boxed{\n24\n}\n\\]", "24"),
    ("So\n$$\n\\boxed{24}\n$$\nwhich is two dozen.", "24"),
    (r"**Final Answer:** $\boxed{24}$", "24"),
    (r"The answer is $\boxed{24}$.", "24"),
    (r"The answer is $x = \boxed{24}$ apples.", "24"),
    ("The final answer is:\n\n\\[\n\\boxed{24}\n\\]", "24"),
    (r"\boxed{24} is the answer.", "24"),
    (r"Half of it is \boxed{12}. All of it is \boxed{24}.", "24"),
    (r"\boxed{24}, no, \boxed{25}", "25"),
    (r"\boxed{6!}", "6!"),
    (r"So $\boxed{24} = \boxed{24}$", "24"),
]
SEVERAL_BOXES = [
    (r"x = \boxed{2} and y = \boxed{9}", "2, 9"),
    (r"$x = \boxed{2}$ and $y = \boxed{9}$.", "2, 9"),
    (r"$x = \boxed{2}$, $y = \boxed{9}$", "2, 9"),
    (r"The roots are $\boxed{2}$ or $\boxed{9}$.", "2, 9"),
    (r"\boxed{1}, \boxed{2}, and \boxed{3}", "1, 2, 3"),
    ("$$x = \\boxed{2},$$\n$$y = \\boxed{9}$$", "2, 9"),
    (r"The two roots are $\boxed{2}$ apples and $\boxed{9}$ pears.", "2, 9"),
    (r"The width is \boxed{2} and the length is \boxed{9}.", "2, 9"),
    (r"\[\boxed{2}\] and \[\boxed{9}\]", "2, 9"),
    (r"\boxed{2} \quad \text{or} \quad \boxed{9}", "2, 9"),
    ("x = \\boxed{2}\ny = \\boxed{9}", "2, 9"),
    ("x = \\boxed{2}\nx = \\boxed{9}", "9"),
    (r"It is \boxed{12} and so we get \boxed{24}", "24"),
    (r"\boxed{2} and \boxed{2}", "2"),  # a box that is repeated is one answer
    ("The first part gives \\boxed{2}.\nThe total is \\boxed{9}.", "9"),
    ("\\boxed{2}\n\n\\boxed{9}", "9"),
    (r"\boxed{2} and, after a correction, \boxed{9}", "9"),
]
NO_ANSWER_IN_BOX = [
    (r"I put it into \boxed{}: the answer is 24.", "24"),
    (r"The answer is 24. It goes into \boxed{}.", "24"),
    (r"The answer is 24. The format is \boxed{answer}.", "24"),
    (r"The answer is 24. The format is $\boxed{\text{your answer}}$.", "24"),
    (r"The answer is 24. The format is \boxed{...}.", "24"),
    (r"\boxed{24} is what the question calls \boxed{\ldots}.", "24"),
    ("> Put your final answer in \\boxed{ANSWER}.\n\n20 + 4 = 24, so the answer is 24.", "24"),
    ("> For example, write \\boxed{7}.\n\n20 + 4 = 24, so the answer is 24.", "24"),
    ("20 + 4 = 24, so the answer is 24.\n\n> For example, write \\boxed{7}.", "24"),
    (r"So \boxed{24", None),
    (r"So \boxed{}", None),
    (r"A \boxedtext{24}", None),
]
BEHIND_AN_ANSWER = [
    ("The total is \\boxed{24}.\nLet me check: the answer is consistent with the statement.", "24"),
    ("\\boxed{9}\n(If the answer is not an integer, round it.)", "9"),
    ("\\boxed{24}\nThe answer is correct.", "24"),
    ("\\boxed{24}\nThe answer is in simplest form.", "24"),
    ("\\boxed{24}\nThe answer is an even number, as it must be.", "24"),
    ("\\boxed{24}\nThe answer is positive, so all is well.", "24"),
    ("\\boxed{24}\nThe answer is reasonable since 24 > 20.", "24"),
    ("\\boxed{24}\nThe answer is a multiple of 6.", "24"),
    ("\\boxed{24}\nThe answer is not 25.", "24"),
    ("\\boxed{24}\nThis matches the answer: we are done.", "24"),
    ("\\boxed{24}\nAnswer: see above.", "24"),
    ("\\boxed{24}\nAs 20 + 4 = 24, the answer is verified.", "24"),
    ("\\boxed{24}\nIf the answer is 25, then 20 + 4 = 25, a contradiction.", "24"),
    ("The answer is 24.\nIf the answer is 25, then 20 + 4 = 25, a contradiction.", "24"),
    ("The answer is 24.\nCheck whether the answer is 25: no.", "24"),
    ("The answer is 24. The answer is consistent with the statement.", "24"),
    ("The answer is 24.\nThe answer is therefore consistent with what was given.", "24"),
    ("The answer is Paris.\nThe answer is consistent with the map.", "Paris"),
    ("Answer: yes\nThe answer is correct.", "yes"),
    ("#### 24\nThe answer is right.", "24"),
    ("#### 24\nI hope it is correct.", "24"),
    ("The answer is $24$. I hope it is correct.", "24"),
    ("Final Answer: The final answer is $24$. I hope it is correct.", "24"),
    ("The answer is 24. Let me know if you have questions!", "24"),
    ("The answer is 24.\n\nNote that 24 = 4!.", "24"),
    ("So the answer is 4.\nSo the answer is", "4"),
    ("So the answer is 4.\n\n### Final Answer", "4"),
    ("The answer is 24. The answer is", "24"),
    ("\\boxed{24}\nThe answer is 4 more than 20.", "24"),
    ("\\boxed{24}\nThe answer is 2 digits long.", "24"),
    ("\\boxed{24}\nThe answer is > 20, as it must be.", "24"),
    ("\\boxed{24}\n\nAnswer: 25 is too large.", "24"),
    ("\\boxed{24}\nNote: the final answer is boxed.", "24"),
    ("\\boxed{24}\nSo 24 is correct.", "24"),
    ("The answer is not an integer.", None),
    ("The answer is consistent with the statement.", None),
    ("The answer is not 5.", None),
]
CORRECTED = [
    ("So the answer is 5. Wait, 2 + 4 is 6. The answer is 6.", "6"),
    ("So the answer is \\boxed{5}. Wait, 2 + 4 is 6, so the answer is 6.", "6"),
    ("\\boxed{5}\nNo, I forgot one. The correct answer is $6$.", "6"),
    ("\\boxed{5}\nNo, I forgot one.\n\n**Answer:** 6", "6"),
    ("#### 5\nWait.\n#### 6", "6"),
    ("Answer: 5\nWait.\nAnswer: 6", "6"),
    ("The answer is 5.\nThat is wrong.\n\\boxed{6}", "6"),
    ("The answer is 5. Wait, I forgot one, so it is 6.", "6"),
    ("The answer is 5. Actually, it is 6.", "6"),
    ("The answer is 5... no, 6.", "6"),
    ("The answer is 5, but that is not all.", "5"),
    ("The answer is 5. Wait, let me check: 2 + 3 = 5.", "5"),
    ("The answer is no, it is not prime.", "no"),
    ("The answer is not 5 but 6.", "6"),
    ("The answer is not 5, but 6.", "6"),
    ("The answer is not 5, it is 6.", "6"),
    ("The answer is 6, not 5.", "6"),
    ("The answer is 6 and not 5.", "6"),
    ("The answer is 6 instead of 5.", "6"),
    ("The answer is 6 rather than 5.", "6"),
    ("The answer is 5? No, the answer is 6.", "6"),
    ("One might think the answer is 5. The answer is 6.", "6"),
]
HEADINGS = [
    ("The total is \\boxed{24}.\n\n#### Check\n\n20 + 4 = 24.", "24"),
    ("The answer is 24.\n\n#### Check\n\n20 + 4 = 24.", "24"),
    ("#### Step 1\n\n20 + 4 = 24\n\n#### Result\n\nThe answer is 24.", "24"),
    ("#### Step 1: Add\n\n20 + 4 = 24", None),
    ("#### 1. Add\n\n20 + 4 = 24\n\nSo \\boxed{24}.", "24"),
    ("\\boxed{24}\n\n#### 2. Check\n\n20 + 4 = 24", "24"),
    ("\\boxed{24}\n\n#### 2) Check\n\n20 + 4 = 24", "24"),
    ("#### Answer\n\n24", "24"),
    ("#### Answer: 24", "24"),
    ("#### Final Answer\n\n24\n", "24"),
    ("#### **24**", "24"),
    ("#### $24$", "24"),
    ("#### 1,024", "1,024"),
    ("#### -3", "-3"),
    ("####24", "24"),
    ("20 + 4 = 24 #### 24", "24"),
    ("#### yes", "yes"),  # nothing stands below it, so that it heads nothing
    ("#### New York", "New York"),
    ("##### Check\n\n20 + 4 = 24", None),
    ("20 + 4 = 24\n\n# Answer\n\n24", "24"),
    ("## Answer\n24", "24"),
    ("### Final Answer\n\n$$24$$", "24"),
    ("### Final answer:\n\n\\[ 24 \\]", "24"),
    ("## Answer: 24", "24"),
    ("### The final answer is 24", "24"),
    ("Final Answer\n============\n\n24", "24"),
    ("**Final Answer**\n\n24", "24"),
    ("**Final Answer**\n\nThe total is 24 apples.\n\n$\\boxed{24}$", "24"),
    ("**Answer**\n\n**24**", "24"),
]
LABELS = [
    ("Answer: 24", "24"),
    ("answer: 24", "24"),
    ("ANSWER: 24", "24"),
    ("Final Answer: 24", "24"),
    ("FINAL ANSWER: 24", "24"),
    ("Ans: 24", "24"),
    ("Ans. 24", "24"),
    ("Answer = 24", "24"),
    ("Answer - 24", "24"),
    ("Answer : 24", "24"),
    ("Answer：24", "24"),
    ("**Answer:** 24", "24"),
    ("**Answer**: 24", "24"),
    ("**Answer: 24**", "24"),
    ("*Answer:* 24", "24"),
    ("***Answer:*** 24", "24"),
    ("__Answer:__ 24", "24"),
    ("**Final Answer:** **24**", "24"),
    ("**Final answer**: `24`", "24"),
    ("- **Answer:** 24", "24"),
    ("> **Answer:** 24", "24"),
    ("\\textbf{Answer:} 24", "24"),
    ("\\textbf{Final Answer: } $24$", "24"),
    ("Answer: $24$", "24"),
    ("Answer: \\(24\\)", "24"),
    ("Answer: \\[24\\]", "24"),
    ("Answer: $$24$$", "24"),
    ("Answer: 24.", "24"),
    ("The correct answer: 24", "24"),
    ("20 + 4 = 24. Answer: 24", "24"),
    ("Answer: x = 24", "x = 24"),
    ("Answer: (1, 2)", "(1, 2)"),
    ("Answer: the answer is 24.", "24"),
    ("Answer: Paris", "Paris"),
    ("Answer: No", "No"),
    ("<answer>24</answer>", "24"),
    ("<answer>\n24\n</answer>", "24"),
    ("<think>The answer is 7.</think>\n<answer> $24$ </answer>", "24"),
    ("<answer>The answer is \\boxed{24}.</answer>", "24"),
    ("I give the answer in <answer> </answer> tags: the answer is 24.", "24"),
]
NEXT_LINES = [
    ("The final answer is:\n\n$24$", "24"),
    ("The answer is\n24", "24"),
    ("The answer is:\n24.", "24"),
    ("The answer is\n\n\\[\n24\n\\]", "24"),
    ("The answer is\n$$\n24\n$$\nas wanted.", "24"),
    ("The answer is\n\\begin{align*}\n24\n\\end{align*}", "24"),
    ("The answer is\n\\[\\frac{1}\n{2}\\]", "\\frac{1}\n{2}"),
    ("Answer:\n24", "24"),
    ("**Answer:**\n\n24", "24"),
    ("**Answer:**\n- 24", "24"),
    ("Answer:\n```\n24\n```", "24"),
    ("# Answer\n\n24\n\n# Check\n\n20 + 4 = 24", "24"),
    ("# Answer\n\nThe total is consistent with the statement.", None),
    ("**Answer**\n\n- x = 2\n- y = 9", "x = 2, y = 9"),
    ("The answer is:\n\n1. Add 20 and 4.\n2. Stop.", None),
    ("So the answer is $\n24$", None),
    ("The answer is:\n\n**24**", "24"),
    ("**The answer is:** 24", "24"),
]
WORDS_BEHIND = [
    ("The answer is 24 (two dozen).", "24"),
    ("The answer is 24 (twenty-four) apples.", "24"),
    ("The answer is 24 (= 4!).", "24"),
    ("The answer is 24 (since 20 + 4 = 24).", "24"),
    ("The answer is 0.5, which is 1/2.", "0.5"),
    ("The answer is 24, since 20 + 4 = 24.", "24"),
    ("The answer is 24 since 20 + 4 = 24.", "24"),
    ("The answer is 24 because 20 + 4 = 24.", "24"),
    ("The answer is 24, as 20 + 4 = 24.", "24"),
    ("The answer is 24, a multiple of six.", "24"),
    ("The answer is 24, so Ann has the most.", "24"),
    ("The answer is 24; we are done.", "24"),
    ("The answer is 24: we are done.", "24"),
    ("The answer is 24 — two dozen.", "24"),
    ("The answer is 24 – two dozen.", "24"),
    ("The answer is 24 -- two dozen.", "24"),
    ("The answer is 24 - two dozen.", "24"),
    ("The answer is: **24** ✅", "24"),
    ("The answer is 24 :)", "24"),
    ("The answer is <b>24</b>.", "24"),
    ("The answer is 24<|im_end|>", "24"),
    ("The answer is 3/4 (or 0.75).", "3/4"),
    ("The answer is $e^x$ where x is real.", "e^x"),
    ("The answer is approximately 3.14.", "3.14"),
    ("Answer: The total is 24.", "24"),
    ("**Answer**: The total is $24$, since 20 + 4 = 24.", "24"),
    ("The answer is 24 when rounded.", "24"),
    ("The answer is $24$, since $20 + 4 = 24$.", "24"),
    ("The answer is $24$ (two dozen).", "24"),
    ("The answer is **24**, since 20 + 4 = 24.", "24"),
    ("The answer is **24** (two dozen).", "24"),
    ("The answer is \\(24\\), which is two dozen.", "24"),
    ("The answer is yes, because 24 > 20.", "yes"),
    ("The answer is Ann because she has 24.", "Ann"),
    ("#### 24 (two dozen)", "24"),
    ("Answer: 24 (two dozen)", "24"),
    ("The answer is 24. 20 + 4 is 24.", "24"),
    ("The answer is 24.Therefore we are done.", "24"),
    ("The answer is 24!", "24"),  # the exclamation of a sentence in prose
    ("The answer is 6!.", "6!"),
    ("The answer is $6!$.", "6!"),
    ("The answer is 6! = 720.", "6! = 720"),
    ("The answer is 5 + 3!", "5 + 3!"),
]
KEPT = [  # what belongs to an answer and must not be cut from it
    ("The answer is 24 apples.", "24 apples"),
    ("The answer is 24 apples, since 20 + 4 = 24.", "24 apples"),
    ("The answer is $24.50.", "$24.50"),
    ("The answer is 3.14.", "3.14"),
    ("The answer is 0.333...", "0.333..."),
    ("The answer is 5 minutes and 30 seconds.", "5 minutes and 30 seconds"),
    ("The answer is 24 (remainder 3).", "24 (remainder 3)"),
    ("The answer is 24 for Ann and 12 for Bob.", "24 for Ann and 12 for Bob"),
    ("The answer is 5 and a half.", "5 and a half"),
    ("The answer is all real numbers.", "all real numbers"),
    ("The answer is between 5 and 6.", "between 5 and 6"),
    ("The answer is x ∈ (1, 2).", "x ∈ (1, 2)"),
    ("The answer is f'(x) = 2x.", "f'(x) = 2x"),
    ("The answer is 1,024.", "1,024"),
    ("The answer is (1, 2).", "(1, 2)"),
    ("The answer is (-2, infinity).", "(-2, infinity)"),
    ("The answer is 2, 3, and 5.", "2, 3, and 5"),
    ("The answer is 2 and 3.", "2 and 3"),
    ("The answer is 2 or 3.", "2 or 3"),
    ("The answer is x = 2, y = 3.", "x = 2, y = 3"),
    ("The answer is $x = 2$, $y = 3$.", "$x = 2$, $y = 3$"),
    ("The answer is $5$ or $6$.", "$5$ or $6$"),
    ("The answer is 3 (mod 7).", "3 (mod 7)"),
    ("The answer is 2 (x + 1).", "2 (x + 1)"),
    ("The answer is f(x) = 2x.", "f(x) = 2x"),
    ("The answer is sin(x), cos(x).", "sin(x), cos(x)"),
    ("The answer is x - 2.", "x - 2"),
    ("The answer is 3:4.", "3:4"),
    ("The answer is 10:30 a.m.", "10:30 a.m."),
    ("The answer is 50%.", "50%"),
    ("The answer is red, blue and green.", "red, blue and green"),
    ("The answer is Paris, France.", "Paris, France"),
    ("The answer is Mr. Brown.", "Mr. Brown"),
    ("The answer is (B) a ball.", "(B) a ball"),
    ("The answer is: (B) a ball", "(B) a ball"),
    ("The answer is $\\{1, 2\\}$.", "\\{1, 2\\}"),
    ("The answer is $\\frac{1}{2}$ of the cake.", "$\\frac{1}{2}$ of the cake"),
]
SENTENCES = [
    ("The answer is 24.", "24"),
    ("the answer is: 24", "24"),
    ("The Answer Is 24", "24"),
    ("The final answer is 24.", "24"),
    ("The correct answer is (B).", "(B)"),
    ("Our answer is 24.", "24"),
    ("My final answer is 24.", "24"),
    ("The answers are 2 and 3.", "2 and 3"),
    ("The answer to the question is 24.", "24"),
    ("The answer to this problem is therefore 24.", "24"),
    ("The answer is therefore 24.", "24"),
    ("The answer is thus $24$.", "24"),
    ("The answer is, then, 24.", "24"),
    ("The answer is simply 24.", "24"),
    ("The answer is equal to 24.", "24"),
    ("The answer must be 24.", "24"),
    ("The answer should be 24.", "24"),
    ("The answer would be 24.", "24"),
    ("The answer equals 24.", "24"),
    ("The answer is option B.", "option B"),
    ('The answer is "24".', "24"),
    ("The answer is `24`.", "24"),
    ("The answer is _24_.", "24"),
    ("So **the answer is 24**.", "24"),
    ("**The answer is 24.**", "24"),
    ("So the answer is\t24", "24"),
    ("So, 24 is the answer.", "24"),
    ("Therefore $24$ is the final answer.", "24"),
    ("So **24** is our answer.", "24"),
    ("The answer is 24\nand that is all.", "24"),
    ("20 + 4 = 24", None),
    ("Which answer is it?", None),
    ("", None),
]

TABLE = {
    "boxes": BOXES,
    "several boxes": SEVERAL_BOXES,
    "no answer in a box": NO_ANSWER_IN_BOX,
    "behind an answer": BEHIND_AN_ANSWER,
    "corrected": CORRECTED,
    "headings": HEADINGS,
    "labels": LABELS,
    "next lines": NEXT_LINES,
    "words behind": WORDS_BEHIND,
    "kept": KEPT,
    "sentences": SENTENCES,
}
CASES = [(kind, text, answer) for kind, rows in TABLE.items() for text, answer in rows]


@pytest.mark.parametrize(("kind", "text", "answer"), CASES)
def test_the_answer_of_a_text(kind: str, text: str, answer: str | None) -> None:
    assert extract_final_answer(text) == answer
    assert extract_final_answer(text.split("\n")) == answer
    assert extract_final_answer(text.replace("\n", "\r\n")) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2 + 2 = 4. So the answer is 4.", "4"),
        ("So the answer is -12  \n", "-12"),
        ("So the answer is (B)", "(B)"),
        ("So the answer is Alice: lime, Bob: red.", "Alice: lime, Bob: red"),
        ("So the answer is 3\nNo, wait. So the answer is 5", "5"),
        ("The final answer is: $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("Hence \\boxed{\\{1, 2\\}} holds", "\\{1, 2\\}"),
        ("\\boxed{3} but the answer is 4", "4"),
        ("The answer is 4, that is \\boxed{4.0}", "4.0"),
        ("so x\\\\\\boxed{7}", "7"),
        ("She has 5.\n#### 1,200", "1,200"),
        ("The answer is **12**.", "12"),
        ("The answer is 2.50", "2.50"),
        ("\\boxed{\\boxed{5}}", "5"),
    ],
)
def test_last_stated_answer_counts(text: str, answer: str) -> None:
    assert extract_final_answer(text) == answer
    assert extract_final_answer(text.split("\n")) == answer


@pytest.mark.parametrize(
    "text",
    ["", "4", "The answer follows.", "So the answer is", "So the answer is .", "\\boxed{1", "#5"],
)
def test_no_stated_answer_is_null(text: str) -> None:
    assert extract_final_answer(text) is None
    assert grade(get_verifier("math"), Problem(id="p1", problem="?", answer="4"), [text]) == (
        None,
        None,
    )


def test_an_unfinished_statement_does_not_hide_a_finished_one() -> None:
    assert extract_final_answer("So the answer is 4.\nSo the answer is") == "4"


def test_extraction_is_linear_in_hostile_text() -> None:
    assert extract_final_answer("\\boxed{" * 100_000) is None  # quadratic: hours, a time-out


@settings(deadline=None)
@given(st.text(alphabet="ab{}\\", max_size=20).filter(lambda t: "\\" not in t))
def test_a_balanced_box_gives_its_content_back(content: str) -> None:
    depth = 0
    for c in content:
        depth += {"{": 1, "}": -1}.get(c, 0)
        if depth < 0:
            return
    expected = content.strip() or None
    assert extract_final_answer(f"x \\boxed{{{content}}} y") == (expected if depth == 0 else None)


@pytest.mark.parametrize(
    "hostile",
    [
        "\\boxed{1} and ",
        "the answer is ",
        "answer:\n",
        "the answer is 1, a $",
        "#### ",
        "<answer>",
        " ",
    ],
)
def test_extraction_is_linear_in_many_statements(hostile: str) -> None:
    assert extract_final_answer("The answer is 5." + hostile * 10_000) is not None
