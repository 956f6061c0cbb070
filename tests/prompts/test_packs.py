"""Prompt packs as data: what they refuse, whose texts they have, and the published protocols."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bpe import bpe
from genprm.config.load import load_config, parse_config
from genprm.errors import ConfigError
from genprm.prompts.packs import Tool, load_pack
from genprm.prompts.render import (
    continued,
    critic_turn,
    critique_prompt,
    label_tokens,
    verdict_prompt,
)
from genprm.util.paths import prompts_dir
from goldens import PROBLEM, STEPS, golden

PUBLISHED = ("genprm", "r-prm", "stepwiser", "thinkprm", "prm-cot")
ALL = sorted(file.stem for file in prompts_dir().glob("*.yaml"))


@pytest.mark.parametrize("name", ["stepwiser", "prm-cot", "native-solution"])
def test_golden_dialogues(name: str) -> None:
    """What a critic is sent for the third step (or for all three), up to its verdict. Those of the
    other published critics are in `tests/scoring/test_published.py`, beside their authors'."""
    pack, tokenizer = load_pack(name), bpe()
    history = [critic_turn(pack, None, place, "It is right.", True) for place in range(2)]
    prompt = critique_prompt(
        pack, tokenizer, PROBLEM, STEPS, history if pack.unit == "turns" else ()
    )
    critique = "20 - 1 = 19, so it is right.\n"
    request = verdict_prompt(pack, tokenizer, prompt, critique)
    text = tokenizer.decode(request.token_ids)
    if pack.overall is not None:
        text += pack.correct_label + pack.closer + "\n=== and of the whole ===\n"
        text += continued(tokenizer, prompt, critique + pack.overall.ask).prefill
    golden(f"{name}-dialogue", text)


@pytest.mark.parametrize("name", ALL)
def test_labels_are_told_apart_by_one_token(name: str) -> None:
    labels = label_tokens(load_pack(name), bpe())
    assert labels.correct_id != labels.incorrect_id


def test_fields_that_a_pack_does_not_use_do_not_count_in_its_fingerprint() -> None:
    """The critic that ships was trained before there were any of them."""
    assert load_pack("native").fingerprint == "20a20e2ba1aed964"
    assert load_pack("native-value").fingerprint == "4165c3dc8e71a990"
    assert len({load_pack(name).fingerprint for name in ALL}) == len(ALL)


def test_a_tools_later_keys_count_only_where_they_are_set() -> None:
    tool = {"kind": "calculator", "open": "<c>", "close": "</c>", "answer": " = {output}"}
    plain, late = (
        load_pack("native").model_copy(update={"tools": (Tool.model_validate(tool | more),)})
        for more in ({}, {"late": "late"})
    )
    assert plain.fingerprint == "41a75e6e2bbe9940" != late.fingerprint


def test_when_votes_end_does_not_count_in_the_fingerprint() -> None:
    """Packs were there before they could say it."""
    assert load_pack("stepwiser").fingerprint == "8fedba648622d8b2"
    assert load_pack("native-solution").fingerprint == "8d3a18f3ecfcbd0f"


def test_published_protocols_ask_for_all_of_their_votes() -> None:
    ours = {"native", "native-value", "native-solution"}
    for name in ALL:
        score = load_config(None, [f"pack={name}"]).with_pack_sampling().score
        early = score.early_stopping.enabled
        assert early is (None if name in ours else False)


def test_texts_of_a_file_take_the_place_of_the_packs(tmp_path: Path) -> None:
    texts = tmp_path / "card.yaml"
    texts.write_text(yaml.safe_dump({"critique": {"system": "As on the card."}}))
    own, theirs = load_pack("genprm"), load_pack("genprm", texts)
    assert theirs.critique.system == "As on the card." and theirs.critique.user == own.critique.user
    assert theirs.name == own.name and theirs.fingerprint != own.fingerprint
    config = load_config(None, ["pack=genprm", f"pack_texts={texts}"])
    assert config.prompt_pack() == theirs
    assert config.decides("score") != load_config(None, ["pack=genprm"]).decides("score")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("unit: prefix", "'unit' is the pack's own and cannot be replaced"),
        ("critique: {user: no problem}", "critique.user has no {problem}"),
        ("colour: red", "'colour': extra inputs are not permitted"),
        ("just words", "expected a mapping of keys"),
        ("a: [", "not valid YAML"),
        (None, "no such file of a prompt pack's texts"),
    ],
)
def test_broken_texts(tmp_path: Path, texts: str | None, message: str) -> None:
    path = tmp_path / "card.yaml"
    if texts is not None:
        path.write_text(texts)
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        load_pack("genprm", path)
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_a_packs_sampling_is_the_default_and_a_configs_own_wins() -> None:
    config = load_config(None, ["pack=thinkprm", "score.votes=2"])
    score = config.score
    assert (score.votes, score.temperature, score.aggregate) == (2, 0.6, "overall")
    assert config.with_pack_sampling() == config
    assert parse_config(config.model_dump(mode="json")).with_pack_sampling() == config
    explicit = load_config(None, ["pack=thinkprm", "score.votes=8", "score.temperature=1.0"])
    assert explicit.score.votes == 8  # though it is the default, too
    assert explicit.score.temperature == 1.0
    for pack, votes in (("thinkprm", 4), ("native", 8)):
        message = f"^config key 'score': temperature 0 gives the same text {votes} times"
        with pytest.raises(ConfigError, match=message):
            load_config(None, [f"pack={pack}", "score.temperature=0"])


OTHER_LABELS = {"correct_label": "a", "incorrect_label": "b"}
MUTE_TOOL = {"kind": "python", "open": "(", "close": ")", "answer": "!"}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("native", {"unit": "solution"}, "critique.user has no {steps}"),
        ("native", {"unit": "turns"}, "next_turn has no {step}"),
        ("native", {"unit": "tree"}, "'unit': input should be 'prefix', 'turns' or 'solution'"),
        ("native", {"next_turn": "{step}"}, "next_turn is for unit turns"),
        ("native", {"step_form": "Step {number}"}, "step_form has no {step}"),
        ("genprm", {"overall": OTHER_LABELS | {"ask": "?"}}, "overall is for unit solution"),
        ("thinkprm", {"overall": OTHER_LABELS | {"ask": " "}}, "overall.ask is blank"),
        ("thinkprm", {"sections": [{"end": "</a>"}]}, "sections and tools are for"),
        ("genprm", {"tools": [MUTE_TOOL]}, "answer has no {output}"),
        (
            "genprm",
            {"tools": [MUTE_TOOL | {"answer": "{output}", "failed": "Error"}]},
            "failed has no {error}",
        ),
        ("thinkprm", {"spellings": ["\\boxed{correct}"]}, "a spelling has no {label}"),
        ("thinkprm", {"spellings": [" {label} "]}, "a spelling is a label alone"),
        ("native", {"spellings": ["so {label}"]}, "spellings and {next} are for unit solution"),
        ("native", {"stop": ["Step {next}:"]}, "spellings and {next} are for unit solution"),
        ("r-prm", {"ask": " "}, "ask is blank"),
    ],
)
def test_broken_packs(tmp_path: Path, name: str, change: dict[str, object], message: str) -> None:
    raw = yaml.safe_load((prompts_dir() / f"{name}.yaml").read_text())
    path = tmp_path / "pack.yaml"
    path.write_text(yaml.safe_dump(raw | change))
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        load_pack(path)
    assert message in str(caught.value)


def test_critiques_with_sections_are_not_distilled(tmp_path: Path) -> None:
    from cluster.stages.distill import distill

    with pytest.raises(ConfigError, match="pack genprm: its critiques have sections, tools or"):
        distill(load_config(None, ["pack=genprm"]), ["none.jsonl"], str(tmp_path / "out"))
