"""A config as text: for `--dry-run` every key with its sentence, and `configs/README.md`.

python -m genprm.config.show > configs/README.md
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from genprm.config.base import Section
from genprm.config.root import Config

WIDTH = 100  # of a line of YAML

README = """\
# Configs

A config is a YAML file of sections. Every key has a default, so a file holds only what it changes;
`genprm COMMAND --config FILE` reads it. Without `--config` all defaults
hold; only `genprm quickstart` has a config of its own.

    genprm score --config mine.yaml --set score.votes=4 --input rows.jsonl --out scores.jsonl
    genprm score --config mine.yaml --dry-run

- `--set KEY=VALUE` changes one key on top of the file: the key with dots, the value in YAML. It
  may be repeated.
- `--dry-run` prints the whole config as it would run, each key with its sentence, and stops. What
  it prints is a config file itself.
- An unknown key, a value out of range and a key that moved are refused in one line, with the key
  that was meant.
- A prompt pack of a published critic brings its own `score` settings, which hold where the config
  names none.

An output belongs to the settings that decide its rows. The same command goes on with an unfinished
output and leaves a finished one alone; with other settings it is refused, and the message names the
first key that differs. Settings of speed and placement may change in between.

## Shipped configs

| name | for |
|---|---|
| `tiny` | the embedded model on two CPU cores; the defaults |
| `quickstart` | `genprm quickstart`: the whole path in minutes |
| `embedded-critic` | how the embedded critic was made |
| `qwen2.5-1.5b` | a critic from Qwen2.5-1.5B-Instruct on one GPU of 24 GB or more |
| `qwen2.5-7b` | a critic from Qwen2.5-7B-Instruct on one GPU of 80 GB |
| `cluster-8xgpu` | the same on a Ray cluster of eight GPUs |

`--config` takes the name of one of these or a path.

## GPUs

The defaults suit the embedded model on CPUs. On GPUs set `engine.block_size: null` and
`engine.enforce_eager: null` (vLLM's own choices), a larger `engine.max_model_len` and
`engine.max_num_seqs`, and `runtime.gpus_per_engine`. A model that needs several GPUs is split over
`engine.gpu.tensor_parallel_size` of them; `runtime.engine_replicas` runs several engines side by
side. `engine.gpu.memory_utilization` leaves room for others on the same GPU. Training uses
`train.num_workers` workers, one per GPU; with several nodes `runtime.storage_path` names storage
that all of them share.

## Deployment files

`deploy/` holds Ray Serve config files of the scoring service; `args` in them is a config.

- `serve.yaml`: the embedded critic on one node, without a GPU
  (`serve run configs/deploy/serve.yaml`).
- `serve-gpu.yaml`: a critic on a cluster with GPUs
  (`serve deploy --address http://head:8265 configs/deploy/serve-gpu.yaml`).
- `kuberay-rayservice.yaml`: the same on Kubernetes, with the KubeRay operator
  (`kubectl apply -f configs/deploy/kuberay-rayservice.yaml`).

Address and route are Serve's own there (`http_options`, `route_prefix`): `serve.host`, `serve.port`
and `serve.route_prefix` are for `genprm serve`.

## All keys
"""


def config_yaml(config: Config) -> str:
    """The config as the YAML that `--config` reads, every key with its sentence in a comment."""
    return "\n".join(_yaml_lines(config)) + "\n"


def _yaml_lines(section: Section, indent: str = "") -> Iterator[str]:
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section) and not indent:
            yield ""
        sentence = " ".join((field.description or "").split())
        prefix = f"{indent}# "
        yield from textwrap.wrap(
            sentence,
            WIDTH,
            initial_indent=prefix,
            subsequent_indent=prefix,
            break_long_words=False,
            break_on_hyphens=False,
        )
        if isinstance(value, Section):
            yield f"{indent}{name}:"
            yield from _yaml_lines(value, f"{indent}  ")
            continue
        text = yaml.safe_dump({name: values[name]}, sort_keys=False, allow_unicode=True)
        yield from (f"{indent}{line}" for line in text.splitlines())


def readme() -> str:
    """The text of `configs/README.md`: how configs work, and every key with its sentence."""
    return "\n".join((README, *_tables(Config(), "", "Top level"))).rstrip() + "\n"


def _tables(section: Section, path: str, title: str) -> Iterator[str]:
    """A table of a section's own keys, then those of the sections in it."""
    yield f"### {title}\n"
    if path and type(section).__doc__:
        yield f"{type(section).__doc__}\n"
    values = section.model_dump(mode="json")
    inner: list[tuple[str, Section]] = []
    rows = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            inner.append((f"{path}{name}", value))
            continue
        sentence = " ".join((field.description or "").split())
        rows.append(f"| `{path}{name}` | `{_scalar(values[name])}` | {sentence} |")
    if rows:
        yield "\n".join(("| key | default | |", "|---|---|---|", *rows, ""))
    for key, value in inner:
        yield from _tables(value, f"{key}.", f"`{key}`")


def _scalar(value: Any) -> str:
    """A value as YAML on one line, as `--set` takes it."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    print(readme(), end="")
