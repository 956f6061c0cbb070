"""Splitters and the map from steps to characters and tokens (`genprm.steps`)."""

from __future__ import annotations

import ast
import json
import re
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from examples import examples
from genprm.errors import InputError
from genprm.steps import SPLITTERS, StepSpan, TokenSpan, char_spans, join, split, token_spans
from genprm.util.paths import assets_dir
from places import SAMPLES

CASES = [json.loads(line) for line in (SAMPLES / "steps_cases.jsonl").read_text().splitlines()]
# What splitters look for, so that random texts hit their rules and not only their absence.
FRAGMENTS = (
    *("\n", "\r\n", "\r", "\n\n", " ", "\t", "    ", "\u2028", "\x0b", "\x85", "\x00"),
    *("Step 1:", "**Step 2**", "1.", "2. ", "2) ", "(1) ", "# ", "- ", "a", "B", "é", "İ", "🙂"),
    *("Dr.", "e.g.", "...", "…", "3.5", ". ", "? ", "! ", "。", "$", "$5", "\\(", "\\)", "\\["),
    *(
        "```",
        "```python\n",
        "~~~",
        "`",
        "def f(x):\n",
        "    return x\n",
        "for i in y:\n",
        "x = 1\n",
    ),
    *("class A:\n", "@d\n", "# c\n", '"""', "; ", "\\\n", "\\begin{", "\\end{a}"),
)
TEXTS = st.one_of(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join), st.text())

# Whole statements, comments and blank lines: any sequence of them is a program.
BLOCKS = re.split(
    "%\n",
    """\
x = 1
%
y = 2; z = 3
%
# note
%

%
\t
%
s = '''a

# b
'''
%
x = (1 +

  2)
%
for i in x:
    y = i

    z = i
%
if x: y
else:
  z
%
@d
@e(
  1)
class A: pass
%
class B(A):
    '''Doc.'''
    # note
    n = 1

    def m(self): return 1
    async def k(self):
        pass  # note
%
def f(x,
      y=1):
  '''Doc

  of f.'''
  x = 1
  # note

  while x:
    x -= 1
  return x
""",
)

PROGRAM = '''\
import os
import sys

# how often
COUNT = 3
LIMIT = 4; STEP = 5

@cache
def total(values,
          start=0):
    """The sum."""
    # from the start
    result = start
    for value in values:
        result += value

        check(result)
    return result

class Box(Base):
    size = 1

    def area(self): return self.size

    def grow(self):
        def inner():
            pass

        return inner
'''
PROGRAM_STEPS = [
    "import os\nimport sys",
    "# how often\nCOUNT = 3\nLIMIT = 4; STEP = 5",
    '@cache\ndef total(values,\n          start=0):\n    """The sum."""',
    "    # from the start\n    result = start",
    "    for value in values:\n        result += value\n\n        check(result)",
    "    return result",
    "class Box(Base):",
    "    size = 1",
    "    def area(self): return self.size",
    "    def grow(self):",
    "        def inner():\n            pass",
    "        return inner",
]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_real_solutions(case: dict[str, Any]) -> None:
    assert split(case["text"], case["splitter"]) == case["steps"]


@pytest.mark.parametrize("splitter", SPLITTERS)
@settings(max_examples=examples(300))
@given(text=st.one_of(TEXTS, TEXTS.map(lambda text: text + "\ud800 x")))
def test_nothing_is_lost(splitter: str, text: str) -> None:
    spans = char_spans(text, splitter)
    steps = split(text, splitter)
    assert "".join(text[start:end] for start, end in spans) == (text if text.strip() else "")
    assert [text[start:end].strip() for start, end in spans] == [step.strip() for step in steps]
    assert all(step and not step.isspace() for step in steps)
    assert "".join(join(steps, splitter).split()) == "".join(text.split())


@pytest.mark.parametrize("splitter", ["lines", "blank_lines", "numbered"])
@settings(max_examples=examples(300))
@given(text=TEXTS)
def test_joined_steps_split_again(splitter: str, text: str) -> None:
    steps = split(text, splitter)
    assert split(join(steps, splitter), splitter) == steps


@settings(max_examples=examples(300))
@given(st.lists(st.sampled_from(BLOCKS)).map("".join))
def test_joined_code_splits_again_and_is_the_same_program(program: str) -> None:
    steps = split(program, "code")
    joined = join(steps, "code")
    assert split(joined, "code") == steps
    assert ast.dump(ast.parse(joined)) == ast.dump(ast.parse(program))


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_joined_steps_of_real_solutions_split_again(case: dict[str, Any], splitter: str) -> None:
    steps = split(case["text"], splitter)
    assert split(join(steps, splitter), splitter) == steps


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("text", ["", " ", "\n\n", "\r\n \t\r\n"])
def test_a_blank_text_has_no_steps(splitter: str, text: str) -> None:
    assert split(text, splitter) == []
    assert char_spans(text, splitter) == []


@pytest.mark.parametrize("call", [split, char_spans])
def test_an_unknown_splitter_is_an_input_error(call: Any) -> None:
    with pytest.raises(InputError, match=r"unknown splitter 'words'; known are lines, blank_lines"):
        call("a", "words")


def test_blank_pieces_belong_to_the_step_before_them() -> None:
    text = "\n a\r\n\r\nb\n\n"
    assert char_spans(text, "lines") == [StepSpan(0, 7), StepSpan(7, 10)]
    assert split(text, "lines") == ["a", "b"]


def test_lines_end_at_any_newline_and_nowhere_else() -> None:
    assert split("a\nb\r\nc\rd\u2028e", "lines") == ["a", "b", "c", "d\u2028e"]


def test_blank_lines_keep_fenced_code_whole() -> None:
    text = "See:\n\n```python\nx = 1\n\ny = 2\n```\n\nDone.\n \t\n\nYes."
    assert split(text, "blank_lines") == [
        "See:",
        "```python\nx = 1\n\ny = 2\n```",
        "Done.",
        "Yes.",
    ]
    assert split("~~~\na\n\n```\n\nb\n~~~\n\nc", "blank_lines") == ["~~~\na\n\n```\n\nb\n~~~", "c"]
    assert split("a\n\n```\nopen\n\nto the end", "blank_lines") == [
        "a",
        "```\nopen\n\nto the end",
    ]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Step 1: a\nb\nStep 2: c", ["Step 1: a\nb", "Step 2: c"]),
        (
            "Plan\n**Step 1**: a\n1. x\n### Step 2 - b",
            ["Plan", "**Step 1**: a\n1. x", "### Step 2 - b"],
        ),
        ("Step 3\na\nin step 4: b", ["Step 3\na\nin step 4: b"]),
        (
            "1. a\n   1. x\n   2. y\n2. b\n3.5 kg\n3) c\n3. d",
            ["1. a\n   1. x\n   2. y", "2. b\n3.5 kg\n3) c", "3. d"],
        ),
        ("(1) a\n(2) b", ["(1) a", "(2) b"]),
        ("4) a\n5) b\n100) c", ["4) a", "5) b\n100) c"]),
        ("1. a\n```\n2. x\n```\n2. b", ["1. a\n```\n2. x\n```", "2. b"]),
        ("no number\nat all", ["no number\nat all"]),
    ],
)
def test_numbered(text: str, steps: list[str]) -> None:
    assert split(text, "numbered") == steps


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith has $5.", "She buys 3.5 kg of fruit, e.g. apples."],
        ["Eq. (3) and Fig. 2 agree, cf. Sec. 4 by Lee et al. 2020.", "Done."],
        ["It is no. 5.", "Is it?", "No.", "It is 6."],
        ["First 1 + 2 + ... + 9 = 45.", "So... the rest is 4.", "Hm...", "Then it is 5."],
        ["Since 5! = 120 and n! > 3, stop!", "Then go on."],
        ["We get $x = 2. Then$ and \\(y. Z\\).", "So \\[ x = 3. \\]", "It holds."],
        ["A bag costs $5.", "Two cost $10.", "So $x$ is 10."],
        ["She waits until 5 p.m.", "Then she leaves."],
        ["He said: “No.”", "(It was late.)", "Good."],
        ["答案是五。", "完成。"],
        ["The call `a. B()` is fine.", "Yes."],
    ],
)
def test_sentences(sentences: list[str]) -> None:
    assert split(" ".join(sentences), "sentences") == sentences


def test_the_number_of_a_list_item_does_not_end_a_sentence() -> None:
    text = "1. First do this. Then that\n2. Look\nStep 3. Stop."
    assert split(text, "sentences") == [
        "1. First do this.",
        "Then that",
        "2. Look",
        "Step 3. Stop.",
    ]


def test_sentences_end_with_their_paragraph_and_around_code() -> None:
    text = "Note that\n\nx is 2 and\ny is 3\n- item\nSo:\n```\na. B\n\nc\n```\nDone"
    assert split(text, "sentences") == [
        "Note that",
        "x is 2 and\ny is 3",
        "- item\nSo:",
        "```\na. B\n\nc\n```",
        "Done",
    ]


def test_code_is_cut_by_syntax() -> None:
    assert split(PROGRAM, "code") == PROGRAM_STEPS
    assert join(PROGRAM_STEPS, "code").split() == PROGRAM.split()
    compile(join(PROGRAM_STEPS, "code"), "joined", "exec")


def test_code_in_one_fence_is_cut_by_syntax_too() -> None:
    fenced = split(f"```python\n{PROGRAM}```\n", "code")
    assert fenced == [
        f"```python\n{PROGRAM_STEPS[0]}",
        *PROGRAM_STEPS[1:-1],
        PROGRAM_STEPS[-1] + "\n```",
    ]


def test_code_of_a_function_body_may_be_indented() -> None:
    assert split("    x = 1\n    while x:\n        x -= 1\n    return x\n", "code") == [
        "    x = 1",
        "    while x:\n        x -= 1",
        "    return x",
    ]


def test_code_with_windows_newlines_is_cut_at_the_same_places() -> None:
    steps = split(PROGRAM.replace("\n", "\r\n"), "code")
    assert [step.replace("\r\n", "\n") for step in steps] == PROGRAM_STEPS


def test_what_is_not_python_is_cut_at_blank_lines_and_around_fences() -> None:
    assert split("def f(:\n  pass\n\n  x", "code") == ["def f(:\n  pass", "  x"]
    mixed = "Use this:\n```python\nx = 1\n\ny = 2\n```\nIt works.\n\nSee?"
    assert split(mixed, "code") == [
        "Use this:",
        "```python\nx = 1\n\ny = 2\n```",
        "It works.",
        "See?",
    ]


@pytest.mark.parametrize("text", ["-" * 100_000 + "1", "f" + "()" * 100_000, "x\x00", "\ud800"])
def test_code_that_the_parser_cannot_bear_is_prose(text: str) -> None:
    assert split(text, "code") == [text]


@lru_cache
def tokenizer(kind: str) -> Tokenizer:
    """A real fast tokenizer: byte-level BPE, built here in three forms, or the embedded one."""
    if kind == "embedded":
        return Tokenizer.from_file(str(assets_dir() / "base" / "tokenizer.json"))
    built = Tokenizer(models.BPE())
    # "across lines" lets one token hold the end of a step and the beginning of the next
    built.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=kind != "across lines"
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    built.train_from_iterator(["2 + 3 = 5.\nSo it is 5.\n\nStep 2: x\n"] * 3, trainer)
    built.post_processor = (
        processors.ByteLevel(trim_offsets=True)
        if kind == "trimmed offsets"
        else processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    )
    return built


TOKENIZERS = ["words", "across lines", "trimmed offsets"]
if (assets_dir() / "base" / "tokenizer.json").is_file():
    TOKENIZERS.append("embedded")


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("splitter", SPLITTERS)
@given(text=TEXTS)
def test_every_token_belongs_to_the_step_of_its_first_character(
    kind: str, splitter: str, text: str
) -> None:
    offsets = tokenizer(kind).encode(text).offsets
    steps = char_spans(text, splitter)
    tokens = token_spans(offsets, steps)
    assert len(tokens) == len(steps)
    owned = {i: step for step, (a, b) in enumerate(tokens) for i in range(a, b)}
    assert len(owned) == sum(b - a for a, b in tokens)  # no token twice
    for index, (start, end) in enumerate(offsets):
        inside = [step for step, span in enumerate(steps) if span.start <= start < span.end]
        if start < end and inside:
            assert [owned[index]] == inside
    assert [span for span in tokens if span.start > span.end] == []
    assert tokens == sorted(tokens)


def test_special_tokens_belong_to_no_step() -> None:
    text = "2 + 3 = 5.\nSo it is 5."
    encoded = tokenizer("words").encode(text)
    first, second = token_spans(encoded.offsets, char_spans(text, "lines"))
    assert encoded.tokens[0] == "<s>" and encoded.tokens[-1] == "</s>"
    assert (first.start, second.end) == (1, len(encoded.tokens) - 1)
    assert first.end == second.start


def test_a_token_that_begins_in_one_step_leaves_none_to_a_step_inside_it() -> None:
    spans = [StepSpan(0, 3), StepSpan(3, 4), StepSpan(4, 8)]
    assert token_spans([(0, 2), (2, 5), (5, 8)], spans) == [
        TokenSpan(0, 2),
        TokenSpan(2, 2),
        TokenSpan(2, 3),
    ]


def test_a_solution_inside_a_prompt() -> None:
    prompt, solution, tail = "Problem: 2 + 3\n", "2 + 3 = 5.\nSo it is 5.\n", "Is it correct?"
    encoded = tokenizer("words").encode(prompt + solution + tail)
    shift = len(prompt)
    steps = [StepSpan(a + shift, b + shift) for a, b in char_spans(solution, "lines")]
    token_ranges = token_spans(encoded.offsets, steps)
    texts = [encoded.offsets[a:b] for a, b in token_ranges]
    text = prompt + solution + tail
    assert [text[spans[0][0] : spans[-1][1]] for spans in texts] == [
        "2 + 3 = 5.\n",
        "So it is 5.\n",
    ]
