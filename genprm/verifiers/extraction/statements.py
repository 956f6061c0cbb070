"""Statements of an answer ("the answer is X", "Answer: X"), and doubts about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from genprm.verifiers.extraction.ends import ARTICLE, CLOSING, clean_answer
from genprm.verifiers.extraction.places import Place, Rank
from genprm.verifiers.extraction.values import VALUE, read_answer, skip_lead

# --- statements ----------------------------------------------------------------------------------

STATEMENT = re.compile(
    r"""(?<![A-Za-z\d-])(?:answers?|ans|(?:correct|right|best)[ ](?:option|choice|alternative))
    (?![A-Za-z\d-])\.?
    (?: (?P<verb>(?:[ \t]+(?:to|for|of)\b[^\n.:;=]{1,80}?|[ \t]+(?:that[ ])?(?:I|we|you)[ ]\w+)?
          [ \t]*,?
          (?:[ \t]+(?:then|therefore|thus|hence),?)?[ \t]+
          (?:is|are|was|equals|(?:must|should|would|will|has[ ]to)[ ](?:then[ ])?be
            |(?:turns|works)[ ]out[ ](?:to|as)(?:[ ]be)?|comes[ ](?:out[ ])?(?:to|as)(?:[ ]be)?
            |becomes|amounts[ ]to|evaluates[ ]to
            |(?P<no>isn['’]t|is[ ]not))\b)
      | (?P<label>[*_`}]*[ \t]*(?:[=-]>|[→⇒⟹➜➔]|\$?\\(?:Right|right)arrow\b\$?|[:=]|[-–—](?=[ \t])))
      # "we get the answer 8.", and nothing else in the sentence
      | (?P<bare>(?<![sS])[ \t]+(?:(?P<of>of|as)[ \t]+)?(?=[*_]*(?:\\?\$)?\\?[(\[]?[-−+]?[\d\\]
          [^\s]{0,60}(?:[ \t][^\s\d]{1,20})?(?:[.!][*_]*(?:\s|\Z)|\n|\Z)))
      | (?P<title>[*_`}]*[ \t]*(?:\n|\Z))
      | (?P<short>(?<=\.)[ \t]+(?=\S) | [*_]{2,}[ \t]+(?=\S)))""",
    re.VERBOSE | re.IGNORECASE,
)
_LINE_START = re.compile(
    r"(?:\A|[\n.!?:;])[\s#>*_`•-]*(?:\\\w+\{\s*)?"
    r"(?:(?:so|thus|therefore|hence|the|my|our|your|final|correct|numerical)[,\s]+){0,4}\Z",
    re.IGNORECASE,
)
_NOT_THE = re.compile(
    r"(?:['’]s?|\b(?:no|an|any|each|every|which|what|whose|another|some|other|one|their|his|her))\s+\Z",
    re.IGNORECASE,
)
_ADJECTIVE = r"(?:(?:final|correct|right|exact|actual|obvious|best)\s+)?"
HYPOTHESIS = re.compile(
    r"\b(?:if|whether|unless|until|suppos\w+|assum\w+|imagine|tempted\s+to\s+\w+"
    r"|(?:some|many|people|others|someone|one|you|students?|they)\s+(?:\w+\s+)?(?:argue|claim)s?"
    r"|(?:might|may|could|would|can|to) (?:think|say|guess|believe|expect|argue|claim|conclude))"
    rf"(?:,? that)?\s+(?:{ARTICLE}\s+)?{_ADJECTIVE}\Z",
    re.IGNORECASE,
)


def find_statements(text: str, keep_sentences: bool) -> Iterator[Place]:
    matches = list(STATEMENT.finditer(text))
    end = text.rstrip()[-400:]
    for match, following in zip_longest(matches, matches[1:]):
        limit = following.start() if following else len(text)
        before = text[max(0, match.start() - 60) : match.start()]
        begins = _LINE_START.search(before) is not None
        if HYPOTHESIS.search(before):
            continue
        if _NOT_THE.search(before) and not (match["of"] and re.search(r"\ban\s+\Z", before)):
            continue
        if match["title"] is not None and not begins:
            continue
        start = match.end() - (match["title"] or "").count("\n")
        content = _content(text, start, limit)
        below = not content[skip_lead(content) :].strip()
        if below:
            content = text_below(text, start + len(content), limit)
        if match["no"]:
            content = "not " + content
        named = match["verb"] is not None and not below
        if ":" in content[: skip_lead(content)]:
            named = False
        context = text[max(0, match.start() - 2_000) : match.start()]
        behind = content
        if correction := _CORRECTION.search(content, skip_lead(content) + 1):
            content = content[correction.end() :]
        # below a title only the last line may be a sentence that is the answer
        keep = keep_sentences or (below and not end.endswith(content.strip()[-400:]))
        rank, answer = read_answer(content, context, sentence=named, keep_sentences=keep)
        if rank is Rank.WORDS and not named and (total := _IS.search(answer)):
            rest = answer[total.end() :]
            rank, answer = read_answer(rest, context, sentence=False, keep_sentences=keep)
        if rank is not Rank.VALUE and not (match["verb"] or begins):
            continue  # "this is the answer: we are done"
        if below and rank is not Rank.VALUE and not _is_short(answer):
            continue
        if (match["short"] or match["bare"]) is not None and rank is not Rank.VALUE:
            continue
        if match["bare"] is not None and _IMPERATIVE.search(before) and " " in answer:
            continue  # "Answer 5 questions."
        doubt = _doubt(text, match, behind) if answer else None
        if doubt is not None:
            yield match.start(), min(rank, doubt), answer


_IMPERATIVE = re.compile(r"(?:\A|[\n.!?:]|\b(?:to|please))[\s*_]*\Z", re.IGNORECASE)


def _is_short(answer: str) -> bool:
    words = answer.split()
    return len(words) <= 4 and not {"is", "are", "we", "the"} & {word.lower() for word in words}


class _Doubt(NamedTuple):
    """A reason to take a stated answer for that of another question, and the rank that it leaves,
    None where the answer is certainly wrong. All its patterns must be found: `around` from the
    sentence before on, `before` in the beginning of the statement's own sentence, `statement` in
    the statement, `behind` in what follows."""

    rank: Rank | None
    before: str = ""
    statement: str = ""
    behind: str = ""
    around: str = ""


_CONDITION = r"(?i:\b(?:if|without|unless|otherwise|had it|in (?:which|that) case))\b|\bHad\b"
_WRONG = (
    "wrong|incorrect|false|mistaken|erroneous|flawed|naive|naïve|tempting|common|typical|intuitive"
)
_EARLIER = "initial|previous|prior|earlier|original|first|old|preliminary|student['’]?s?"
_DOUBTS = {
    "a wrong answer": _Doubt(None, rf"(?i:\b(?:{_WRONG})\s+(?:\w+\s+)?\Z)"),
    "an earlier answer": _Doubt(Rank.SUPPOSED, rf"(?i:\b(?:{_EARLIER})\s+(?:\w+\s+)?\Z)"),
    "a common mistake": _Doubt(
        Rank.SUPPOSED,
        around=r"(?i:\b(?:(?:common|frequent|typical|usual|classic|easy)\s+(?:mistake|error|trap)"
        r"|(?:mistake|error|trap|pitfall)\s+(?:is|would|here))\b)",
    ),
    "somebody's thought": _Doubt(
        Rank.SUPPOSED,
        r"(?i:\b(?:mistakenly|wrongly|incorrectly|erroneously|tempting|(?:some|many|people|others"
        r"|someone|students?)\s+(?:\w+\s+){0,4}(?:think|say|argue|claim|get|forget)s?)\b)",
    ),
    "a supposition": _Doubt(Rank.SUPPOSED, _CONDITION, r"\bwould\b"),
    "a condition": _Doubt(Rank.HEDGED, _CONDITION),
    "a condition behind": _Doubt(Rank.HEDGED, behind=r"\A[^.!?\n]{1,120}?\s(?:if|unless)\b"),
    "would be": _Doubt(Rank.HEDGED, statement=r"(?i:\bwould\b)"),
    "should be": _Doubt(Rank.HEDGED, statement=r"(?i:\b(?:should|was)\b)"),
}
# what such words before a statement say about the question itself
_CONCLUSION = re.compile(
    rf"\b(?:so|thus|therefore|hence|then|conclude that),?\s+(?:{ARTICLE}\s+)?{_ADJECTIVE}\Z",
    re.IGNORECASE,
)
_MAY_CONCLUDE = {"a condition", "should be"}
_RETRACTION = re.compile(
    r"\b(?i:wait|actually|oops|sorry|correction|hold on|on second thought|no[,.:!]|I (?:forgot|made"
    r"|missed|overlooked|mis[a-z]+|wrongly|incorrectly)|my mistake"
    r"|(?:that|this|it)(?:['’]s| is| was) (?:not right|not correct|wrong|incorrect|a mistake)"
    r"|let me (?:re[a-z]+|correct|fix))"
)
_MAY_CORRECT = {"somebody's thought", "a condition", "a condition behind", "would be", "should be"}


def _doubt(text: str, statement: re.Match[str], behind: str) -> Rank | None:
    """The highest rank that a stated answer may have; None if it is certainly wrong."""
    earlier, sentence = sentences_before(text, statement.start())
    for name, doubt in _DOUBTS.items():
        if not (
            re.search(doubt.around, earlier + sentence)
            and re.search(doubt.before, sentence)
            and re.search(doubt.statement, statement[0])
            and re.search(doubt.behind, behind)
        ):
            continue
        if name in _MAY_CONCLUDE and _CONCLUSION.search(sentence):
            continue
        if name in _MAY_CORRECT and corrects(earlier, sentence):
            continue
        return doubt.rank
    is_ours = statement["bare"] is None or _OURS.search(sentence)
    return Rank.VALUE if is_ours else Rank.HEDGED  # "Bob got the answer 36."


# whose answer a sentence without a verb of being gives: "we get the answer 8", "Final answer 8"
_OURS = re.compile(
    r"\b(?i:we|this|that|which|us|giv(?:es?|ing)|yields?|has|have)\b|\bI\b"
    r"|\A[\s*_#>-]*(?i:(?:so|thus|hence|therefore),?\s+)?(?i:(?:the|my|our|final|correct)\s+)*\Z"
)


def corrects(earlier: str, sentence: str) -> bool:
    """Whether the sentence before, or the beginning of a sentence, takes an earlier answer back."""
    earlier = re.split(r"oxed|[Aa]nswer|####", earlier)[-1]
    return _RETRACTION.search(earlier + sentence) is not None


_SENTENCE_END = re.compile(r"[.!?][*_`)\]}$]*\s+|\n")


def sentences_before(text: str, start: int) -> tuple[str, str]:
    """The sentence before the one that holds `start`, and the beginning of that one up to it."""
    window = text[max(0, start - 250) : start]
    ends = [0, 0, *(end.end() for end in _SENTENCE_END.finditer(window))]
    return window[ends[-2] : ends[-1]], window[ends[-1] :]


def rank_box(text: str, start: int) -> Rank:
    """The rank of a box; low in a statement of another answer: "the naive answer is [box]"."""
    statements = list(STATEMENT.finditer(text, max(0, start - 60), start))
    if not statements or _SENTENCE_END.search(text, statements[-1].end(), start):
        return Rank.VALUE
    doubt = _doubt(text, statements[-1], "")
    return Rank.COMMENT if doubt is None else doubt if doubt is Rank.SUPPOSED else Rank.VALUE


# in the same line: "5. Wait, I forgot one, so it is 6."
_VALUE_AHEAD = rf"(?=(?x:{VALUE.pattern}))"
_CORRECTION = re.compile(
    r"\b(?i:(?<!yes, )no, |(?:wait|actually|no|sorry|correction|oops|hold on)\b[^\n]{1,80}?\b"
    r"(?:(?:it|that)(?:['’]s| is| should be| must be)|I meant?|make (?:it|that)) )" + _VALUE_AHEAD
)
_IS = re.compile(rf"\b(?:is|are|equals)\s+{_VALUE_AHEAD}")

_DISPLAY = re.compile(r"\\\[|\$\$|\\begin\{(?P<name>[A-Za-z]+\*?)\}|(?P<fence>```)\w*\n")


def _content(text: str, start: int, limit: int) -> str:
    """The rest of the line from `start`, or the formula with which it begins if that is longer."""
    end = text.find("\n", start, limit)
    line = text[start : end if end >= 0 else limit]
    return _formula(text, start, limit) or _formula(text, start + skip_lead(line), limit) or line


def _formula(text: str, start: int, limit: int) -> str | None:
    """The content of a displayed formula, or of fenced lines, that begins at `start`."""
    opening = _DISPLAY.match(text, start)
    if opening is None:
        return None
    if opening["name"]:
        closing = f"\\end{{{opening['name']}}}"
    else:
        closing = "```" if opening["fence"] else CLOSING[opening[0]]
    end = text.find(closing, opening.end(), min(limit, opening.end() + 1_000))
    return None if end < 0 else f"$${clean_answer(text[opening.end() : end])}$$"


_BLANK = re.compile(r"\s*(?:[=*_-]{3,}\s*\n)?\s*(?:>[ \t]+)?")
_BULLETS = re.compile(r"(?:[ \t]*[•*-][ \t]+[^\n]*(?:\n|\Z))+")
_ITEM = re.compile(r"\d+[.)]\s+\S|#")


def text_below(text: str, start: int, limit: int | None = None) -> str:
    """The first line below `start` that is not blank; empty for a heading or a numbered list."""
    limit = len(text) if limit is None else limit
    if blank := _BLANK.match(text, start, limit):
        start = blank.end()
    if bullets := _BULLETS.match(text, start, limit):
        return ", ".join(line.strip().lstrip("•*- \t") for line in bullets[0].splitlines())
    content = _content(text, start, limit)
    return "" if _ITEM.match(content) else content
