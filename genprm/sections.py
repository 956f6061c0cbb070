"""The sections of a config: a sentence under every field, unknown keys refused, frozen.

Says what each stage can be told, its ranges and its defaults, and nothing else: reading files,
naming mistakes and putting the sections together is `genprm.config`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genprm.chat_marks import END_TOKENS
from genprm.records import Aggregate


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused, docstrings under the fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class ModelsConfig(Section):
    """Which models a stage runs: a directory, a Hugging Face name, or an embedded one."""

    policy: str = "embedded:base"
    """Writes solutions and rollouts, and is what a critic is trained from."""
    critic: str = "embedded:critic"
    """Critiques steps. May be a LoRA adapter directory written by `genprm train`."""


class EngineConfig(Section):
    """How completions are generated."""

    kind: Literal["vllm", "openai", "scripted"] = "vllm"
    """`vllm` runs the model here, `openai` asks a server, `scripted` calls a Python function."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations; `auto` takes the checkpoint's own, and float32 on
    CPUs that compute no bfloat16."""
    max_model_len: int | None = Field(default=1024, ge=1)
    """Context length in tokens, prompt and completion together; null takes the model's own."""
    max_num_seqs: int = Field(default=128, ge=1)
    """Sequences that one engine generates at once."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Share of each GPU's memory that the engine may take (GPU only)."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that one copy of the model is split over."""
    kv_cache_gib: float = Field(default=1, gt=0)
    """Memory of the key-value cache in GiB (CPU only)."""
    block_size: int | None = Field(default=32, ge=1)
    """Tokens per block of the prefix cache: only whole blocks are reused. Null: the engine's."""
    enforce_eager: bool | None = True
    """True skips compilation: quicker to start, slower to run. Null leaves it to the engine."""
    base_url: str | None = None
    """Where an OpenAI-compatible server answers, such as `http://host:8000/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the server's key; keys never stand in a config."""
    request_timeout_s: float = Field(default=120, gt=0)
    """How long one request to a server may take, in seconds."""
    request_retries: int = Field(default=15, ge=0)
    """How often a request is sent again to a server that is away, answers too late or says that it
    cannot answer now. The waits between grow to 8 seconds, or are what the server asks for, so that
    15 outlast a minute; a server that never answers is given up after 16 times the time-out."""
    max_lora_rank: int = Field(default=16, ge=1)
    """The largest rank of a LoRA adapter that the engine must be able to load."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the engine: vLLM's `AsyncEngineArgs`; for a server `prefill`,
    `tokenizer` and fields of the request body; `script` and `label_probs` of a scripted one."""


class SolveConfig(Section):
    """How the policy writes solutions."""

    samples_per_problem: int = Field(default=1, ge=1)
    """Solutions sampled for each problem."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature; 0 takes the likeliest token and allows one sample only."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens that together hold this probability."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest solution in tokens."""
    splitter: str = "lines"
    """How a solution is split into steps: lines, blank_lines, numbered, sentences or code."""

    @model_validator(mode="after")
    def _greedy_is_single(self) -> SolveConfig:
        _check_greedy(self.temperature, self.samples_per_problem, "samples_per_problem")
        return self


class LabelConfig(Section):
    """How rollouts value the steps of a solution."""

    estimator: Literal[
        "flat_hard",
        "flat_soft",
        "first_zero",
        "relative_progress",
        "relative_effective",
        "binary_search",
        "adaptive",
    ] = "flat_hard"
    """How rollouts are spent and read; each is a module of `genprm.labeling`. `flat_soft` is
    `flat_hard` whose training rows are also weighted by value."""
    rollouts: int = Field(default=8, ge=1)
    """Rollouts from each prefix; for `adaptive`, the most of them per step of a solution."""
    partial: bool = False
    """Where the first error stays open, keep the labels of the steps that are surely before it;
    those from the first uncertain step on are null, and trained on by nobody."""
    reuse: Literal["none", "rollouts", "solution"] = "none"
    """Also count for a prefix the rollouts from earlier ones that pass through it, and with
    `solution` the solution itself, if this policy wrote it. Unbiased unless the solutions were
    chosen by their outcome or sampled at another temperature."""
    splitter: str = "lines"
    """How the solutions were split into steps, so that rollouts go on in that form."""
    min_ratio: float = Field(default=0.8, gt=0)
    """`relative_progress`: a good step keeps at least this share of the value before it."""
    advantage_weight: float = Field(default=0.8, ge=0)
    """`relative_effective`: weight of the advantage beside the value."""
    confidence: float = Field(default=0.9, gt=0.5, lt=1)
    """`adaptive`: stop at this posterior probability of the first error."""
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """`adaptive`: where rollouts end before that, the likeliest first error is a label all the same
    if it has this posterior probability, up to `confidence`. 0 labels whatever was rolled out."""
    round_rollouts: int = Field(default=1, ge=1)
    """`adaptive`: rollouts between two looks at the posterior."""
    min_information: float = Field(default=0.035, ge=0)
    """`adaptive`: give a solution up where the best round tells less about the places of its errors
    than this many nats for the price of writing it once."""
    recovery_rate: float = Field(default=0.02, gt=0, lt=0.5)
    """`adaptive`: how often a wrong step still ends in the right answer, by repair or by luck."""
    repeat_rate: float = Field(default=0.1, gt=0, lt=1)
    """`adaptive`: how often a rollout that goes wrong after good steps ends in the very answer of
    the wrong solution that they come from."""
    second_verifier: Literal["exact", "math", "choice"] | None = None
    """Also asked about every stated answer, but of code and where it is itself the first. That one
    decides; where they differ is counted, and written to OUT.disagreements.jsonl."""
    audit: int = Field(default=0, ge=0)
    """This many rollouts, at most one of a solution, are set aside for a person to read, in
    OUT.audit.html, which is written when the output is finished."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of a rollout."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens that together hold this probability."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest rollout in tokens."""


class DistillConfig(Section):
    """How labels become critiques to train on."""

    writer: Literal["rule", "teacher"] = "rule"
    """`rule` writes for the built-in tasks and errs on purpose; `teacher` asks a model."""
    writer_error_rate: float = Field(default=0.15, ge=0, le=1)
    """Share of steps that the rule writer misjudges. At 0 it is an oracle: an upper bound only."""
    filter: bool = True
    """Keep a solution only where writer and rollouts name the same first error."""
    balance: bool = True
    """Limit, per task, critiques of the more frequent verdict by those of the rarer one."""
    balance_ratio: float = Field(default=1.0, ge=1)
    """How many of the more frequent verdict are kept for each of the rarer one."""
    critiques_per_step: int = Field(default=1, ge=1)
    """Critiques written for each step."""
    teacher_model: str | None = None
    """The teacher, for `writer: teacher`: a directory, a Hugging Face name, or a server's name."""
    teacher_temperature: float = Field(default=0.7, ge=0)
    """Sampling temperature of the teacher."""
    teacher_max_tokens: int = Field(default=512, ge=1)
    """Longest critique of the teacher in tokens."""
    show_label: bool = False
    """Tell the teacher the rollout label of the step that it critiques."""


class TrainConfig(Section):
    """How a critic is fine-tuned."""

    kind: Literal["critic"] = "critic"
    """What is trained: `critic`, by supervised fine-tuning on critiques."""
    method: Literal["full", "lora"] = "full"
    """Train all weights, or a LoRA adapter."""
    init: str | None = None
    """The model that training starts from; null takes `models.policy`."""
    lora_r: int = Field(default=16, ge=1)
    """Rank of the adapter."""
    lora_alpha: float = Field(default=32, gt=0)
    """Scale of the adapter; its update is multiplied by alpha / rank."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate."""
    epochs: float = Field(default=3, gt=0)
    """Passes over the training rows."""
    batch_size: int = Field(default=32, ge=1)
    """Rows per optimizer step, over all workers."""
    micro_batch_size: int = Field(default=32, ge=1)
    """Rows that one worker holds in memory at once."""
    max_length: int = Field(default=1024, ge=1)
    """Longest training row in tokens; longer rows are dropped and counted."""
    warmup_ratio: float = Field(default=0.05, ge=0, le=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of AdamW."""
    verdict_weight: float = Field(default=1.0, gt=0)
    """Loss of the token that decides a verdict, a critique's other tokens having 1."""
    save_steps: int = Field(default=200, ge=1)
    """Optimizer steps between two checkpoints."""
    seed: int = 0
    """Seed of the order of rows and of new weights."""
    num_workers: int = Field(default=1, ge=1)
    """Ray Train workers, one per GPU where there are GPUs."""
    bf16: bool | None = None
    """Compute in bfloat16; null does so where it is the quicker one."""


class ScoreConfig(Section):
    """How steps are judged."""

    votes: int = Field(default=8, ge=1)
    """Critiques sampled per step."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature of a critique; 0 allows one vote only."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens that together hold this probability."""
    top_k: int = Field(default=0, ge=0)
    """Sample from this many of the likeliest tokens; 0: from all."""
    max_critique_tokens: int = Field(default=256, ge=1)
    """Budget of a critique in tokens; one that runs out of it is asked for its verdict."""
    aggregate: Aggregate = "min"
    """How step scores become the score of a solution."""
    return_critiques: bool = False
    """Keep the critiques in the judgement."""
    stop_at_first_error: bool = False
    """Judge step after step and leave those after the first error unjudged."""
    early_stop: bool | None = None
    """Ask for critiques in rounds, and for no more where those to come would not change the
    verdict. Without it every step gets all its votes. Null: the service and handles do, unless the
    prompt pack is of a published critic; commands, whose figures are of all votes, do not."""
    round_votes: int = Field(default=2, ge=1)
    """`early_stop`: critiques per round, or as many as can settle a vote if that takes more; with a
    budget never more."""
    stop_risk: float = Field(default=0.0, ge=0, lt=0.5)
    """`early_stop`: how probable a change may be. At 0 none can come: the verdicts are those of
    all votes. More saves most where only verdicts count, since scores of few votes are coarse."""
    budget: float | None = Field(default=None, gt=0)
    """`early_stop`: critiques per step, on average over a solution or a batch of them; undecided
    steps get what the others leave. Null: as many as they have votes."""
    deadline_s: float | None = Field(default=None, gt=0)
    """Seconds for one solution; steps not judged by then have status deadline. Null: no limit."""
    use_label_probs: bool = True
    """Read the verdict's probability from the label tokens; false counts written verdicts."""
    calibration: str | None = None
    """A file of `genprm calibrate`, by which steps get calibrated scores; null takes the one in the
    critic's directory, if there is one, `none` takes none."""
    max_concurrency: int = Field(default=64, ge=1)
    """Steps in work at once."""
    splitter: str = "lines"
    """How a solution given as text is split: lines, blank_lines, numbered, sentences or code."""

    @model_validator(mode="after")
    def _greedy_is_single(self) -> ScoreConfig:
        _check_greedy(self.temperature, self.votes, "votes")
        return self

    @model_validator(mode="after")
    def _budget_for_a_round(self) -> ScoreConfig:
        if self.budget is not None and self.budget < self.round_votes:
            raise ValueError(
                f"budget {self.budget:g} is less than one round of {self.round_votes} (round_votes)"
            )
        return self


class AutoscalingConfig(Section):
    """How many replicas there are, by how much they have to do."""

    min_replicas: int = Field(default=1, ge=1)
    """Replicas that are always there."""
    max_replicas: int = Field(ge=1)
    """Replicas that there are at most."""
    target_ongoing_requests: float | None = Field(default=None, gt=0)
    """Requests that each replica should have, running or waiting; null: two thirds of
    `serve.max_ongoing_requests`."""
    upscale_delay_s: float = Field(default=30, ge=0)
    """Seconds of more requests before a replica is added."""
    downscale_delay_s: float = Field(default=600, ge=0)
    """Seconds of fewer requests before one is taken away."""

    @model_validator(mode="after")
    def _a_range(self) -> AutoscalingConfig:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas {self.max_replicas} is less than min_replicas {self.min_replicas}"
            )
        return self


class ServeConfig(Section):
    """The scoring service."""

    host: str = "127.0.0.1"
    """Address that the service listens on; 0.0.0.0 for all."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port that the service listens on."""
    route_prefix: str = Field(default="/", pattern="^/")
    """Path under which the routes stand."""
    num_replicas: int = Field(default=1, ge=1)
    """Copies of engine and scorer, where `autoscaling` does not count them."""
    autoscaling: AutoscalingConfig | None = None
    """Copies by load; null: `num_replicas` of them."""
    max_ongoing_requests: int = Field(default=64, ge=1)
    """Requests that one replica works on at once."""
    max_queued_requests: int = Field(default=256, ge=-1)
    """Requests that wait for a replica before the service answers 503; -1: no limit."""
    retry_after_s: int = Field(default=2, ge=1)
    """What such a 503 asks callers to wait, in seconds: some time in which a fair part of the
    queue is worked off."""
    drain_s: float = Field(default=60, ge=0)
    """Seconds that a replica which is to end has for the requests that it works on."""
    step_marker: str = Field(default="<extra_0>", min_length=1)
    """`/pooling` and `/classify`: what stands behind each step of the assistant's text; a text
    without it is split by `score.splitter`. The default is the marker of Qwen2.5-Math-PRM."""
    end_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = END_TOKENS
    """What may end the text of a solution in the formats of others, and is no part of it."""
    unscored: float | None = Field(default=None, ge=0, le=1)
    """Stands for what was not scored in the formats of others, which have no word for it. Null:
    such a request is an error."""

    @property
    def most_replicas(self) -> int:
        """How many replicas there may be at once."""
        return self.autoscaling.max_replicas if self.autoscaling else self.num_replicas

    @model_validator(mode="after")
    def _scales(self) -> ServeConfig:
        if self.autoscaling is None:
            return self
        if self.num_replicas != 1:
            raise ValueError("num_replicas is for a fixed number: leave it out with autoscaling")
        target = self.autoscaling.target_ongoing_requests or 0
        if target > self.max_ongoing_requests:
            raise ValueError(
                f"autoscaling.target_ongoing_requests {target:g} is more than a replica works on "
                f"at once (max_ongoing_requests {self.max_ongoing_requests})"
            )
        return self


class RuntimeConfig(Section):
    """Where stages run on Ray, and on how much of it."""

    address: str | None = None
    """An existing cluster (`auto`, `ray://host:10001`); null starts Ray on this machine."""
    num_cpus: int | None = Field(default=None, ge=1)
    """Logical CPUs of a Ray started here; null counts the machine's."""
    num_gpus: int | None = Field(default=None, ge=0)
    """GPUs of a Ray started here; null counts the machine's."""
    engine_replicas: int = Field(default=1, ge=1)
    """Engines that a batch stage runs side by side."""
    cpus_per_engine: float = Field(default=1, ge=0)
    """Logical CPUs reserved for one engine, where a cluster has four or more."""
    gpus_per_engine: float = Field(default=0, ge=0)
    """GPUs reserved for one engine; 0: `tensor_parallel_size` where the cluster has GPUs."""
    rows_per_block: int = Field(default=16, ge=1)
    """Rows that are written, and after a kill resumed, together."""
    storage_path: str | None = None
    """Where checkpoints are kept: storage that all nodes share; null for one machine."""


def _check_greedy(temperature: float, samples: int, key: str) -> None:
    if temperature == 0 and samples > 1:
        raise ValueError(f"temperature 0 gives the same text {samples} times; set {key} to 1")
