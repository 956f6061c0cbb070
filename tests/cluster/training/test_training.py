"""Training on Ray: resume after the death of a worker or of the driver, and what OUT may hold."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.stages.progress import ProgressLine
from cluster.training.driver import TrainResult, read_data, train
from cluster.training.progress import format_line
from genprm.config.root import Config
from genprm.data.bad_rows import BadRows
from genprm.data.rows import write_jsonl
from genprm.errors import ConfigError, InputError
from genprm.models.manifest import MANIFEST_FILE, check_manifest, weights_sha256
from genprm.prompts.packs import load_pack
from genprm.training import find_kind
from genprm.training.progress import Progress
from places import HELPERS, ROOT
from training_rows import toy_targets

ROWS, STEPS = 40, 20  # 5 batches of 8, 4 epochs
TOKENS = 4 * 3488  # of the rows with their prompts, without padding
SAVE_STEPS = 3
DEATHS = [8, 14]  # the steps at which the worker and the driver die


@pytest.fixture
def tiny(tiny_model: Path) -> Path:
    return tiny_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "targets.jsonl"
    write_jsonl(path, (target.row() for target in toy_targets(ROWS)))
    meta = {"config": {"label": {"estimator": "flat_soft"}}}
    Path(f"{path}.meta.json").write_text(json.dumps(meta))
    return str(path)


@pytest.fixture(autouse=True)
def found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where workers find the callbacks of these tests."""
    monkeypatch.setenv("PYTHONPATH", str(HELPERS), prepend=os.pathsep)


def config(tiny: Path, **train_fields: Any) -> Config:
    quick = {
        "batch_size": 8,
        "epochs": 4,
        "save_steps": SAVE_STEPS,
        "learning_rate": 1e-2,
        "bf16": False,
    }
    return Config.model_validate(
        {
            "models": {"policy": str(tiny)},
            "train": quick | train_fields,
            "runtime": {"num_cpus": 1},
        }
    )


def undisturbed_weights(tiny: Path, critic_config: Config, folder: Path) -> dict[str, Any]:
    """What the same training gives in this process, without Ray and without a death."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    from genprm.training.sft import build_trainer, prepare_dataset, save_critic

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    dataset = prepare_dataset(toy_targets(ROWS), tokenizer, 1024).dataset
    trainer = build_trainer(
        str(tiny), dataset, critic_config.train, folder / "run", tokenizer=tokenizer
    )
    trainer.train()
    save_critic(trainer, folder / "critic", "nothing")
    torch.set_num_threads(before)
    weights: dict[str, Any] = load_file(folder / "critic" / "adapter_model.safetensors")
    return weights


def check_resumed(steps: list[int], deaths: list[int]) -> None:
    """All steps up to each death, then on from a checkpoint: the last, or the one before it if
    Ray had not yet taken note of the last."""
    begin = 1
    for death in deaths:
        assert steps[: death - begin + 1] == list(range(begin, death + 1))
        steps = steps[death - begin + 1 :]
        last = death // SAVE_STEPS * SAVE_STEPS
        begin = steps[0]
        assert begin in (last + 1, last - SAVE_STEPS + 1)
    assert steps == list(range(begin, STEPS + 1))


DRIVER = """
import os, sys
from pathlib import Path
from training_callbacks import KillOnce, Recorder
from cluster.training.driver import train
from genprm.config.root import Config

if __name__ == "__main__":
    config, data, folder = Config.model_validate_json(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    worker, driver = int(sys.argv[4]), int(sys.argv[5])
    callbacks = [
        Recorder(folder / "steps"),
        KillOnce(folder / "worker", worker),
        KillOnce(folder / "driver", driver, os.getpid()),
    ]
    train(config, [data], str(folder / "critic"), callbacks=callbacks)
"""


def test_training_survives_the_death_of_a_worker_and_of_the_driver(
    ray_session: None, tiny: Path, data: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.torch import load_file

    from training_callbacks import Recorder

    lora = config(tiny, method="lora", lora={"r": 8})
    folder = tmp_path / "work"
    folder.mkdir()
    out = folder / "critic"

    deaths = [str(step) for step in DEATHS]
    killed = subprocess.run(
        [sys.executable, "-c", DRIVER, lora.model_dump_json(), data, str(folder), *deaths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "  failure 1: " in killed.stderr
    assert not out.exists()
    with pytest.raises(
        ConfigError,
        match=r"parts belongs to another config \(train\.method is ",
    ):
        train(config(tiny), data, str(out))
    train(lora, data, str(out), callbacks=[Recorder(folder / "steps")])
    assert f"step {STEPS}/{STEPS}  loss" in capfd.readouterr().err
    check_resumed(Recorder.steps(folder / "steps"), DEATHS)

    assert sorted(path.name for path in folder.iterdir()) == ["critic", "driver", "steps", "worker"]
    files = {file.name for file in out.iterdir()}
    assert files >= {"adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"}
    assert not files & {"summary.json", "README.md", "optimizer.pt", "training_args.bin"}
    settings = json.loads((out / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(tiny)
    manifest = check_manifest(out, load_pack("native"), base=tiny)
    assert manifest is not None
    assert (manifest.method, manifest.base) == ("lora", str(tiny))
    assert manifest.base_sha256 == weights_sha256(tiny)
    assert (manifest.data.label_rule, manifest.data.writers) == ("flat_soft", ["rule"])
    assert manifest.metrics["loss"] < manifest.metrics["first_loss"] - 0.5
    with pytest.raises(ConfigError, match="trained for prompt pack 'native'"):
        check_manifest(out, load_pack("native-value"))

    # the deaths left no trace in the weights
    saved = load_file(out / "adapter_model.safetensors")
    undisturbed = undisturbed_weights(tiny, lora, tmp_path / "plain")
    assert saved.keys() == undisturbed.keys()
    for name, weight in undisturbed.items():
        torch.testing.assert_close(saved[name], weight, rtol=0.02, atol=2e-3)

    again = train(lora, data, str(out))
    assert again == TrainResult(
        path=str(out),
        metrics=manifest.metrics,
        seconds=manifest.seconds,
        tokens=TOKENS,
        rows=ROWS,
        dropped=0,
        already_done=True,
    )
    assert "is already trained; nothing to do" in capfd.readouterr().err
    before = (out / MANIFEST_FILE).read_bytes()
    with pytest.raises(ConfigError, match=r"belongs to another config \(train\.method is "):
        train(config(tiny), data, str(out))
    other = tmp_path / "other.jsonl"
    write_jsonl(other, (target.row() for target in toy_targets(ROWS - 1)))
    with pytest.raises(ConfigError, match=r"belongs to another input \(data is "):
        train(lora, str(other), str(out))
    assert (out / MANIFEST_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"batch_size": 8, "micro_batch_size": 3}, ConfigError, r"train\.batch_size=8 is no multi"),
        ({"max_length": 20}, InputError, r"all 40 rows are longer than train\.max_length=20"),
        ({"init": "nowhere/at/all"}, ConfigError, "no such model directory"),
    ],
)
def test_mistakes_are_reported_before_ray_starts(
    tiny: Path,
    data: str,
    tmp_path: Path,
    fields: dict[str, Any],
    kind: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(kind, match=reason) as caught:
        train(config(tiny, **fields), data, str(tmp_path / "critic"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_data_that_cannot_be_trained_on_is_refused(tiny: Path, data: str, tmp_path: Path) -> None:
    out = str(tmp_path / "critic")
    with pytest.raises(InputError, match="no such file"):
        train(config(tiny), str(tmp_path / "missing.jsonl"), out)
    with pytest.raises(InputError, match=r"id 'sum-0:0:0' occurs a second time"):
        train(config(tiny), [data, data], out)
    broken = tmp_path / "broken.jsonl"
    broken.write_text(Path(data).read_text() + '{"id": "x"}\n')
    with pytest.raises(InputError, match=rf"broken\.jsonl:{ROWS + 1}: field 'prompt'"):
        train(config(tiny), str(broken), out)
    value = config(tiny).model_copy(update={"pack": "native-value"})
    with pytest.raises(InputError, match="the verdict of prompt pack 'native-value'"):
        train(value, data, out)
    broken.write_text("")
    with pytest.raises(InputError, match="no rows"):
        train(config(tiny), str(broken), out)


def test_rows_that_the_kind_refuses_are_skipped_one_by_one(tiny: Path, tmp_path: Path) -> None:
    rows = [target.row() for target in toy_targets(20)]
    rows[3]["completion"][-1]["content"] = "no verdict"
    rows[11] |= {"label": not rows[11]["label"]}
    rows[12] |= {"prompt": "a text"}
    path = tmp_path / "targets.jsonl"
    write_jsonl(path, [*rows, rows[0]])
    bad = BadRows("skip")
    data = read_data([str(path)], find_kind("critic"), config(tiny), bad)
    kept = [rows[i]["id"] for i in range(20) if i not in (3, 11, 12)]
    assert [row.id for row in data.rows] == kept and data.source.rows == 17
    assert {row["where"] for row in bad.skipped} == {f"{path}:{n}" for n in (4, 12, 13, 21)}
    with pytest.raises(InputError, match=r"targets\.jsonl:13: field 'prompt'"):
        read_data([str(path)], find_kind("critic"), config(tiny), BadRows())


def test_a_folder_without_a_critic_is_left_alone(tiny: Path, data: str, tmp_path: Path) -> None:
    out = tmp_path / "critic"
    out.mkdir()
    (out / "thesis.tex").write_text("important")
    with pytest.raises(ConfigError, match="is not a finished critic: nothing was overwritten"):
        train(config(tiny), data, str(out))
    assert [file.name for file in out.iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigError, match="to a local folder, not to a URI"):
        train(config(tiny), data, "s3://bucket/critic")


def test_the_progress_line() -> None:
    now = Progress(
        step=40, steps=320, loss=1.2345, tokens=9000, tokens_per_second=8200.4, seconds_left=95
    )
    assert str(format_line(None)) == "train   starting"
    assert str(format_line(now)) == "train   step 40/320  loss 1.234  8,200 tokens/s  1:35 left"
    failed = "  failure 2: " + 80 * "o"
    assert str(format_line(None, ["died", 100 * "o"])) == "train   starting" + failed
    assert str(format_line(now, ["died", 100 * "o"])) == str(format_line(now)) + failed
    stream = io.StringIO()
    with ProgressLine(lambda: format_line(now), stream):
        pass
    assert stream.getvalue() == f"{format_line(now)}\n"
