"""Published critics: what their authors' code sends to the model, beside what we send.

Both sides are driven by one scripted critic. The golden files hold both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bpe import bpe
from genprm.config.score import ScoreConfig
from genprm.engines.scripted import Script, ScriptedEngine
from genprm.generation import Prompt, Sampling
from genprm.prompts.packs import load_pack
from genprm.records import Judgement
from genprm.scoring.scorer import Scorer
from genprm.verifiers.sandbox import sandbox_program
from goldens import PROBLEM, STEPS, golden
from published import (
    genprm_requests,
    r_prm_before_label,
    r_prm_message,
    thinkprm_critique,
    thinkprm_solution,
)


def judged(
    name: str, script: Script, steps: Sequence[str], **config: Any
) -> tuple[Judgement, list[str], list[str]]:
    """The judgement, the texts from which critiques were written, and those before a label."""
    tokenizer = bpe()
    engine = ScriptedEngine(
        script,
        label_probs=lambda prompt, ids: (0.8, 0.1),
        tokenizer=tokenizer,
        max_model_len=100_000,
    )
    scorer = Scorer(engine, load_pack(name), ScoreConfig(votes=1, return_critiques=True, **config))
    judgement = asyncio.run(scorer.score(PROBLEM, steps))
    texts: tuple[list[str], list[str]] = ([], [])
    for prompt, sampling in engine.calls:
        texts[sampling.max_tokens == 1].append(tokenizer.decode(prompt.token_ids))
    return judgement, *texts


def both(ours: str, theirs: str) -> str:
    return f"=== ours ===\n{ours}\n\n=== theirs ===\n{theirs}\n"


def checks_by_code(answer: str, number: int) -> str:
    """Runs one program on the first step, and three on the second: one that uses a name of the
    first step's, one that fails, and one too many."""
    if "<verify>" not in answer:
        if answer.endswith("\\boxed"):
            return "{Yes}$\n</output>\n"
        return f"Paragraph {number} computes.\n</analyze>\n"
    runs = answer.count("[Code Output]")
    if runs == 0:
        return "total = 2 + 3\nprint(total)\n```\n" if number == 1 else "print(total * 4)\n```\n"
    if number == 1:
        return "It agrees.\n</verify>\n<output>\n**Judgement**: $\\boxed{Yes}$\n</output>\n"
    program = "print('lost')\nprint(1 / 0)" if runs == 1 else "print(total)"
    return f"Again:\n```python\n{program}\n```\n"


@pytest.mark.skipif(sandbox_program() is None, reason="no working bubblewrap")
def test_genprm_sends_what_its_authors_code_sends() -> None:
    def script(prompt: Prompt, sampling: Sampling, i: int) -> str:
        return checks_by_code(prompt.prefill, sum(m["role"] == "user" for m in prompt.messages))

    _, ours, our_labels = judged("genprm", script, STEPS[:2], max_critique_tokens=2048)
    system = load_pack("genprm").critique.system
    theirs, labels = genprm_requests(bpe(), system, PROBLEM, STEPS[:2], checks_by_code)
    assert ours == theirs
    assert our_labels == labels
    last = "\n\n--- before the label ---\n"
    golden(
        "genprm-dialogue", both(ours[-1] + last + our_labels[-1], theirs[-1] + last + labels[-1])
    )


def test_r_prm_sends_what_its_authors_code_sends() -> None:
    steps = list(STEPS)
    _, ours, _ = judged("r-prm", lambda p, s, i: "Analysis: fine.", steps)
    instruction = load_pack("r-prm").critique.user.partition("\n\nQuestion:")[0]
    theirs = [
        f"<|im_start|>user\n{r_prm_message(instruction, PROBLEM, steps[:at], step)}<|im_end|>\n"
        "<|im_start|>assistant\n"
        for at, step in enumerate(steps)
    ]
    assert ours == theirs
    critique = "20 - 1 = 19.\n**Verification**: "
    label = r_prm_before_label(f"{critique}Is the step correct (Yes/No)? **Yes**")
    golden(
        "r-prm-dialogue",
        both(f"{ours[0]}\n\n{ours[2]}{label}", f"{theirs[0]}\n\n{theirs[2]}{label}"),
    )


@pytest.mark.parametrize(
    "critique",
    [
        "Analysis: fine.\nVerification: Is the step correct (Yes/No)? Yes",
        "Analysis: fine. Verification: Is the step correct (Yes/No)? No",
        "**Verification: Is the step correct (Yes/No)? Yes**",
        "**Verification**: Is the step correct (Yes/No)? **Yes**",
        "Is the step correct (Yes/No)? No.\nVerification: Is the step correct (Yes/No)? Yes",
        "Analysis: all is well.",
        "Analysis: all is well.\n\nThe step is right",
        "",
    ],
)
def test_r_prm_asks_for_its_verdict_where_its_authors_code_does(critique: str) -> None:
    judgement, [ours], labels = judged("r-prm", lambda p, s, i: critique, STEPS[:1])
    assert labels == [ours + r_prm_before_label(critique)]
    assert judgement.steps[0].score == pytest.approx(8 / 9)


def test_r_prms_sampling_is_that_of_its_authors_code() -> None:
    sampling = load_pack("r-prm").sampling
    assert (sampling.votes, sampling.temperature, sampling.top_p) == (10, 0.95, 0.95)
    assert sampling.max_critique_tokens == 4096


NUMBERED = ["Step 1: 2 + 3 = 5", "## Step 2: 5 * 4 = 20\nand that is all", "So the answer is 19."]
THOUGHT = (
    "\nStep 1: Critique: fine. The step is \\boxed{correct}\n"
    "Step 2: Critique: fine. The step is \\boxed{correct}\n"
    "Step 3: Critique: fine. The step is \\boxed{correct}\n"
)


def test_thinkprm_sends_what_its_authors_code_sends() -> None:
    """But for the last question: there are two forms of it, and this is that of the training data.
    Its authors' server asks "\\nIs the solution correct? ", without the end of thinking."""
    critique = f"{THOUGHT}Step 4: there is none. The step is \\boxed{{incorrect}}"
    judgement, [ours], labels = judged(
        "thinkprm", lambda p, s, i: critique, NUMBERED, aggregate="overall"
    )
    pack = load_pack("thinkprm")
    solution = thinkprm_solution([step.replace("## Step", "Step") for step in NUMBERED])
    user = pack.critique.user.replace("{problem}", PROBLEM).replace("{steps}", solution)
    theirs = (
        f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
        "<think>\nLet's verify step by step:"
    )
    assert ours == theirs
    safe = thinkprm_critique(critique, 3)
    question = "\n</think>\nIs the solution correct?"
    [prompt] = [text for text in labels if text.endswith(question)]
    assert prompt == theirs + safe.rstrip("\n") + question
    assert [step.verdict for step in judgement.steps] == ["correct"] * 3
    golden("thinkprm-dialogue", both(prompt, f"{theirs}{safe}\nIs the solution correct? "))
