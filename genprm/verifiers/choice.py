"""Answers that name an option, or say who has which thing.

Options compare by label: `(A)`, `A.`, `option A`, `(a) striker`, or the option's text where the
problem lists its options. Assignments such as `Alice: lime, Bob: red` compare as mappings, whatever
the order and spacing. Anything else compares as text, case and spacing aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from genprm.records import Problem
from genprm.verifiers.base import normalise
from genprm.verifiers.extraction import extract_final_answer
from genprm.verifiers.extraction.ends import halve_width

_NEXT_PAIR = re.compile(r"[,;]\s*(?:and\s+)?(?=[^,;:]+:)")


class ChoiceVerifier:
    """Compares options, assignments and short texts; never undecided."""

    name = "choice"

    def extract(self, steps: Sequence[str]) -> str | None:
        """The answer that a solution states, else the option that its last line names."""
        answer = extract_final_answer(steps, keep_sentences=True)
        return answer or _last_line(halve_width("\n".join(steps)))

    def check(self, answer: str, problem: Problem) -> bool | None:
        reference = problem.answer or ""
        gold = extract_final_answer(reference, keep_sentences=True) or reference
        options = _options(problem.problem)
        gold_labels = _labels(gold, options)
        gold_pairs = _assignment(gold)  # one pair, such as `B: a ball`, may be an option
        if gold_pairs is not None and (len(gold_pairs) > 1 or not gold_labels & options.keys()):
            return _assignment(answer) == gold_pairs
        if gold_labels:
            return _labels(answer, options) == gold_labels
        return normalise(_plain(answer)) == normalise(_plain(gold))


# --- what an answer names ------------------------------------------------------------------------

_STYLE = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|textsf|mathrm|mathbf|mathit|mathsf|mathtt|mbox|emph"
    r"|operatorname|boldsymbol|bf|rm)(?![A-Za-z])\s*"
)
_SPACE = re.compile(r"\\(?:[ ,;:!]|q?quad\b)|~|[^\S\n]+")
_MARKS = re.compile(r"[{}$*`\"“”‘’]|\\[()\[\]]|(?<!\w)'|'(?!\w)")
_CALLED = re.compile(
    r"\A(?:(?:the\s+)?(?:option|choice|alternative|letter|answer)[\s_]+)+", re.IGNORECASE
)
_LABEL = re.compile(r"[(\[]\s?(?P<closed>[A-Za-z]|\d)\s?[)\]]|(?P<open>[A-Za-z]|\d)(?!\w)")
_BEHIND = re.compile(
    r"(?:[(\[](?:(?i:option|choice|letter)\s)?|(?<!\w)(?i:option|choice|letter)\s[(\[]?)"
    r"(?:(?P<closed>[A-Za-z]|\d)[)\]]|(?P<open>[A-Z]|\d))$"
)
_SEVERAL = re.compile(
    r"(?:both\s+)?[(\[]?[A-Z][)\]]?(?:(?:\s?,\s?(?:and\s|or\s)?|\s(?:and|or|&)\s)[(\[]?[A-Z][)\]]?)+"
    r"|[A-Z]{2,6}"
)
_ARTICLE = re.compile(r"(?:an?|the)\s+", re.IGNORECASE)


def _labels(answer: str, options: Mapping[str, str]) -> frozenset[str]:
    """The labels, in upper case, that an answer names directly or by the text of one listed option;
    none if it names none.

    A text is looked for before a label in front of it is read: `E. coli` and `a ball` are texts. A
    label with the text of another option names both.
    """
    answer = _CALLED.sub("", _plain(answer))
    label = _LABEL.match(answer)
    rest = answer[label.end() :] if label else ""
    named = (label["closed"] or label["open"]).upper() if label else ""
    if named.isdigit() and named not in options:
        label = None
    if label and not rest.strip(".):, "):  # the label alone
        return frozenset((named,))
    for same in (normalise, _without_article):
        hits = [name for name, text in options.items() if same(text) == same(answer)]
        if len(hits) == 1:
            return frozenset(hits)
    if _SEVERAL.fullmatch(answer):
        return frozenset(re.findall(r"[A-Z]", answer))
    if label and _is_label(label, rest, options.get(named)):
        return frozenset((named,)) | _contradicted(rest, named, options)
    if behind := _BEHIND.search(answer):  # a ball (B)
        named = (behind["closed"] or behind["open"]).upper()
        text = answer[: behind.start()]
        return _labels(named, options) | _contradicted(text, named, options)
    return frozenset()


def _contradicted(text: str, named: str, options: Mapping[str, str]) -> frozenset[str]:
    """The label of the other option that has the text beside a label, as in `(B) a box` for `(A) a
    box`; none if it is the text of the option itself, or of none."""
    text = _without_article(text.strip(" .):,;(–—-"))
    same = {name for name, option in options.items() if _without_article(option) == text}
    return frozenset(same) if len(same) == 1 and named not in same else frozenset()


def _is_label(label: re.Match[str], rest: str, text: str | None) -> bool:
    """Whether what an answer begins with is a label, not a word of a text: `(B) a ball`, `B. ball`,
    but `a ball` and `I think` only if the option has the rest as its text."""
    if label["closed"] or re.match(r"\s?[.):,;(]\s?|\s[–—-]+\s", rest):
        return True
    if text is not None and _without_article(rest) == _without_article(text):
        return True
    return label["open"].isupper() and re.match(r"\s(?:is|because|since|as)\b", rest) is not None


def _plain(answer: str) -> str:
    """The answer in one line, without LaTeX's and Markdown's marks for the style of text."""
    plain = _MARKS.sub("", _SPACE.sub(" ", _STYLE.sub("", halve_width(answer))))
    return " ".join(plain.split()).rstrip(". ")


def _without_article(text: str) -> str:
    return _ARTICLE.sub("", normalise(text), count=1)


# --- what a problem lists ------------------------------------------------------------------------

# the forms of a label; in each the options must be labelled in order from the first on
_FORMS = (
    r"[(\[]([A-Z])[)\]]",
    r"[(\[]([a-z])[)\]]",
    r"([A-Z])\)",
    r"([a-z])\)",
    r"([A-Z])\.(?=\s)",
)
_LINE_FORMS = (*_FORMS, r"([A-Z]):(?=\s)", r"[(\[](\d)[)\]]", r"(\d)\)", r"(\d)\.(?=\s)")
_LISTED = [
    *(re.compile(rf"^[ \t>-]*{form}", re.MULTILINE) for form in _LINE_FORMS),
    *(re.compile(rf"(?<![\w(\[]){form}") for form in _FORMS),
]


def _options(problem_text: str) -> dict[str, str]:
    """The options that a problem lists, label in upper case → text; empty if it lists none."""
    lines = _MARKS.sub("", _SPACE.sub(" ", _STYLE.sub("", halve_width(problem_text))))
    for form in _LISTED:
        marks = list(form.finditer(lines))
        first = [i for i, mark in enumerate(marks) if mark[1] in "Aa1"]
        if not first:
            continue
        run = marks[first[-1] :]
        size = next(
            (i for i, (a, b) in enumerate(pairwise(run), 1) if ord(b[1]) != ord(a[1]) + 1), len(run)
        )
        if size > 1:
            ends = [mark.start() for mark in run[1:size]] + [len(lines)]
            return {
                mark[1].upper(): lines[mark.end() : end].strip().split("\n")[0].strip(" ,;.")
                for mark, end in zip(run[:size], ends, strict=True)
            }
    return {}


# --- the last line -------------------------------------------------------------------------------

_LISTS = re.compile(r"[\s>*-]*[(\[]?[A-Za-z\d][)\].:]")
_NAMES = re.compile(
    r"[\s>*]*+(?:.{0,200}\.\s+)?(?:(?:so|thus|therefore|hence),?\s+)?\**"
    r"(?P<option>(?:option\s+)?(?:[(\[][A-Za-z\d][)\]]|[A-Z][.):](?=\**(?:\s|$))|[A-Z](?=\W*$)).{0,200})",
    re.IGNORECASE,
)


def _last_line(text: str) -> str | None:
    """The option with which the last line begins or which it concludes; None if other lines begin
    with options as well, for such lines look at one option after the other."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or any(_LISTS.match(line) for line in lines[:-1]):
        return None
    names = _NAMES.fullmatch(lines[-1].rstrip())
    return names["option"] if names else None


def _assignment(answer: str) -> dict[str, str] | None:
    """`Alice: lime, Bob: red` as a mapping; None if a part is not a pair or a name repeats."""
    pairs = [part.partition(":") for part in _NEXT_PAIR.split(answer.strip())]
    mapping = {normalise(name): normalise(value) for name, _, value in pairs}
    complete = all(name.strip() and value.strip() for name, _, value in pairs)
    return mapping if complete and len(mapping) == len(pairs) else None
