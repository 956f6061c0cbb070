"""Scores of a head: vLLM's pooling runner against transformers' own forward pass."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from genprm.config.engine import CpuConfig, EngineConfig
from genprm.config.score import ScoreConfig
from genprm.engines import build_pooling_engine
from genprm.engines.base import PoolingEngine
from genprm.errors import ConfigError, EngineError, InputError, PromptTooLongError
from genprm.generation import Prompt
from genprm.scoring.base import ScoreItem, StepScorer
from genprm.scoring.heads import HeadFormat, HeadScorer, p_good
from tiny_head import MARKER, make_tiny_head
from tiny_model import make_tiny_model

T = TypeVar("T")
CONTEXT = 256
CONFIG = EngineConfig(
    max_model_len=CONTEXT, max_num_seqs=8, cpu=CpuConfig(kv_cache_gib=0.1), dtype="float32"
)
CHAT = HeadFormat("tiny-chat", MARKER, system="Check every step.")
PLAIN = HeadFormat("tiny-plain", MARKER, good_label=0, chat=False, between_steps="\n")
PROBLEM = "What is 3 * (4 + 5) - 2?"
STEPS = ("4 + 5 = 9", "3 * 9 = 27", "27 - 2 = 24", "So the answer is 24.")


class Running:
    """One engine and one event loop for the whole module."""

    def __init__(self, model: Path):
        self.model = model
        self.runner = asyncio.Runner()
        self.engine: PoolingEngine = self.run(build_pooling_engine(CONFIG, str(model)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def scorer(self, layout: HeadFormat = CHAT, **config: Any) -> StepScorer:
        return HeadScorer(self.engine, layout, ScoreConfig(**config))


@pytest.fixture(scope="module")
def running(starts_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(make_tiny_head(tmp_path_factory.mktemp("models") / "head"))
    yield running
    running.run(running.engine.close())
    running.runner.close()


def by_transformers(model: Path, text: str, good: int) -> list[float]:
    """P(good) at every marker of a text."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        probabilities = AutoModelForTokenClassification.from_pretrained(model)(ids).logits.softmax(
            dim=-1
        )
    at = ids[0] == tokenizer.convert_tokens_to_ids(MARKER)
    return probabilities[0, at, good].tolist()


def chat_text(steps: Sequence[str], problem: str = PROBLEM) -> str:
    answer = "".join(step + MARKER for step in steps)
    return (
        f"<|im_start|>system\nCheck every step.<|im_end|>\n<|im_start|>user\n{problem}<|im_end|>\n"
        f"<|im_start|>assistant\n{answer}<|im_end|>\n"
    )


def test_scores_are_those_of_transformers(running: Running) -> None:
    judgement = running.run(running.scorer().score(PROBLEM, STEPS, id="a"))
    expected = by_transformers(running.model, chat_text(STEPS), good=1)
    scores = [step.score for step in judgement.steps]
    assert scores == pytest.approx(expected, abs=1e-3)
    assert max(scores) - min(scores) > 0.1  # else equal scores would say little
    for place, step in enumerate(judgement.steps):
        assert step.score is not None and (step.index, step.status) == (place, "ok")
        correct = step.score > 0.5
        assert step.verdict == ("correct" if correct else "incorrect")
        assert (step.votes.correct, step.votes.incorrect) == (int(correct), int(not correct))
    assert (judgement.id, judgement.critic.pack) == ("a", "tiny-chat")
    assert (judgement.critic.scoring, judgement.critic.model) == ("head", str(running.model))
    assert judgement.usage["requests"] == 1 and judgement.usage["completion_tokens"] == 0
    # the text after the last marker is not sent
    sent = chat_text(STEPS).removesuffix("<|im_end|>\n")
    ids = running.engine.tokenizer(sent, add_special_tokens=False)["input_ids"]
    assert judgement.usage["prompt_tokens"] == len(ids)


def test_plain_text_and_the_other_label(running: Running) -> None:
    judgement = running.run(running.scorer(PLAIN).score(PROBLEM, STEPS))
    text = f"{PROBLEM}\n" + "\n".join(step + MARKER for step in STEPS)
    expected = by_transformers(running.model, text, good=0)
    assert [step.score for step in judgement.steps] == pytest.approx(expected, abs=1e-3)


def test_many_solutions_at_once_are_judged_as_alone(running: Running) -> None:
    items = [ScoreItem(f"What is {n} + 1?", STEPS[: 1 + n % 4]) for n in range(12)]
    together = running.run(running.scorer().score_batch(items))
    for item, judgement in zip(items, together, strict=True):
        alone = by_transformers(running.model, chat_text(item.steps, item.problem), good=1)
        assert [step.score for step in judgement.steps] == pytest.approx(alone, abs=1e-3)


def test_markers_and_markup_in_the_text_are_not_markers(running: Running) -> None:
    steps = [f"4 + 5 = 9{MARKER}", "<|im_end|>\n3 * 9 = 27"]
    judgement = running.run(running.scorer().score(PROBLEM + MARKER, steps))
    broken = ["4 + 5 = 9< extra_0>", "< |im_end|>\n3 * 9 = 27"]
    expected = by_transformers(running.model, chat_text(broken, PROBLEM + "< extra_0>"), good=1)
    assert [step.score for step in judgement.steps] == pytest.approx(expected, abs=1e-3)


def test_an_empty_step_is_left_out(running: Running) -> None:
    judgement = running.run(running.scorer().score(PROBLEM, [STEPS[0], " \n", STEPS[1]]))
    assert [step.status for step in judgement.steps] == ["ok", "empty", "ok"]
    expected = by_transformers(running.model, chat_text(STEPS[:2]), good=1)
    scores = [step.score for step in judgement.steps]
    assert scores[::2] == pytest.approx(expected, abs=1e-3) and scores[1] is None
    nothing = running.run(running.scorer().score(PROBLEM, [" "]))
    assert nothing.steps[0].status == "empty" and nothing.usage["requests"] == 0


def test_steps_beyond_the_context_are_too_long_and_those_before_are_judged(
    running: Running,
) -> None:
    steps = [STEPS[0], STEPS[1], "so " * CONTEXT, STEPS[2]]
    judgement = running.run(running.scorer().score(PROBLEM, steps))
    assert [step.status for step in judgement.steps] == ["ok", "ok", "too_long", "too_long"]
    assert f"does not fit the context of {CONTEXT}" in (judgement.steps[2].reason or "")
    expected = by_transformers(running.model, chat_text(STEPS[:2]), good=1)
    assert [step.score for step in judgement.steps[:2]] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(PromptTooLongError):
        running.run(running.engine.pool(Prompt((), token_ids=(5,) * (CONTEXT + 1))))
    full = running.run(running.engine.pool(Prompt((), token_ids=(5,) * CONTEXT)))
    assert (len(full.values), len(full.values[0])) == (CONTEXT, 2)


def test_what_follows_the_first_error_can_be_left_out(running: Running) -> None:
    judgement = running.run(running.scorer().score(PROBLEM, STEPS))
    stopped = running.run(running.scorer(stop_at_first_error=True).score(PROBLEM, STEPS))
    assert stopped.first_error == judgement.first_error >= 0
    after = stopped.steps[judgement.first_error + 1 :]
    assert {step.status for step in after} <= {"not_scored"}
    assert (
        stopped.steps[: judgement.first_error + 1] == judgement.steps[: judgement.first_error + 1]
    )


def test_a_deadline_is_a_status(running: Running) -> None:
    judgement = running.run(running.scorer().score(PROBLEM, STEPS, deadline_s=1e-9))
    assert {step.status for step in judgement.steps} == {"deadline"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": []}, "field 'steps': expected at least one step"),
        ({"steps": "4 + 5"}, "field 'steps': expected a list of strings"),
        ({"votes": 8}, "field 'votes': a head has one vote, got 8"),
        ({"aggregate": "overall"}, "field 'aggregate': a head gives no verdict of the whole"),
        ({"aggregate": "best"}, "field 'aggregate': no such aggregation: 'best'"),
        ({"deadline_s": 0}, "field 'deadline_s': expected more than 0, got 0"),
    ],
)
def test_what_a_head_cannot_do_is_refused(
    running: Running, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        running.run(running.scorer().score(**({"problem": PROBLEM, "steps": STEPS} | fields)))
    assert str(caught.value) == message


def test_a_marker_is_one_token_of_the_model(running: Running) -> None:
    with pytest.raises(ConfigError, match=r"the marker '<extra_1>' is \d tokens, not one"):
        running.scorer(HeadFormat("other", "<extra_1>"))


def test_formats_are_told_apart_by_what_they_do() -> None:
    assert CHAT.fingerprint == HeadFormat("x", MARKER, system="Check every step.").fingerprint
    assert CHAT.fingerprint != HeadFormat("x", MARKER).fingerprint


def test_the_probability_of_a_label() -> None:
    assert p_good((1.0, 1.0), 1) == 0.5
    assert p_good((0.0, 1000.0), 0) == 0.0 and p_good((0.0, 1000.0), 1) == 1.0
    assert p_good((0.7,), 0) == pytest.approx(p_good((0.0, 0.7), 1))
    assert p_good((0.1, 0.2, 0.3), 2) > p_good((0.1, 0.2, 0.3), 0)
    with pytest.raises(ConfigError, match="good_label 2, but the head has 2 labels"):
        p_good((0.1, 0.2), 2)


@pytest.mark.engine
def test_an_engine_without_a_head_is_refused(tmp_path: Path) -> None:
    scripted = EngineConfig(kind="scripted")
    with pytest.raises(ConfigError, match=r"engine\.kind scripted cannot read a model's head"):
        asyncio.run(build_pooling_engine(scripted, "anything"))
    causal = make_tiny_model(tmp_path / "causal")
    with pytest.raises(ConfigError) as caught:
        asyncio.run(build_pooling_engine(CONFIG, str(causal)))
    assert "\n" not in str(caught.value) and str(causal) in str(caught.value)


def test_a_closed_engine_raises(running: Running) -> None:
    """Ends the engine of this module: keep it last."""
    running.run(running.engine.close())
    with pytest.raises(EngineError, match="closed"):
        running.run(running.scorer().score(PROBLEM, STEPS))
