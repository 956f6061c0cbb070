r"""Which text of a solution is its final answer.

Three kinds of places name an answer: marks (`\boxed{X}`, `#### X`, `<answer>X</answer>`),
statements ("the answer is X", "Answer: X", a title "# Answer" with X below it) and sentences about
an option ("option B is correct"). Of these the last one counts that holds a value: a mark, a
number, a formula, an option, a name. What only talks about an answer ("the answer is consistent
with ...", "if the answer is 5, ...") replaces none, nor do remarks about another answer unless they
correct it ("the naive answer is 36", "without the tax the answer would be 36"; see `statements`). A
value ends where the words about it begin ("24, since ..."; see `ends`); units stay, and nothing is
converted. Of a sentence ("Answer: she has 5 apples left") the one number counts.

The text is untrusted: all of this takes time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from genprm.verifiers.extraction.ends import halve_width
from genprm.verifiers.extraction.marks import find_boxes, find_fields, find_hashes, find_tags
from genprm.verifiers.extraction.options import find_options
from genprm.verifiers.extraction.places import Candidate
from genprm.verifiers.extraction.statements import find_statements
from genprm.verifiers.extraction.values import is_quoted


def extract_final_answer(
    solution: str | Sequence[str], *, keep_sentences: bool = False
) -> str | None:
    r"""The last answer that a solution states, without what surrounds it; None if it states none.

    Several boxes in one sentence ("x = \boxed{2} and y = \boxed{9}") are one answer, "2, 9". A
    whole sentence is an answer only with `keep_sentences`, as options have such texts; else it
    stands for the one number in it, and for nothing if there are several or none.
    """
    text = solution if isinstance(solution, str) else "\n".join(solution)
    text = halve_width(text)
    # without runs of white space, in which patterns that allow for some would take square time
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n\s*", "\n", text)
    places = [
        *find_boxes(text),
        *find_fields(text, keep_sentences),
        *find_tags(text, keep_sentences),
        *find_hashes(text, keep_sentences),
        *find_options(text),
        *find_statements(text, keep_sentences),
    ]
    candidates = [
        Candidate(not is_quoted(text, start), rank, start, answer)
        for start, rank, answer in places
        if answer
    ]
    return max(candidates).answer if candidates else None
