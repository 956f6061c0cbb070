"""`genprm submit`: the same stage as a job of a Ray cluster, followed to its end.

The current folder is shipped (what `.gitignore` names stays here), so relative paths mean files
in it; absolute paths and URIs are storage as the cluster sees it, and an output must be one of
those. The same command submits a job that died again, and it goes on where it was, because stages
resume. Knows Ray's job API and nothing of what a stage does.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.runtime import AUTH_HINT
from genprm.config.load import load_config
from genprm.data.storage import is_uri
from genprm.errors import ConfigError, GenprmError, InputError, one_line
from genprm.training import find_kind
from genprm.util.paths import configs_dir

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

# exit statuses of a job that ended without one of the stage's
FAILED, INTERRUPTED = 1, 130
POLL_SECONDS = 1.0
STOP_SECONDS = 20.0  # to wait for a job that was asked to stop
TOKEN_FILE = "~/.ray/auth_token"  # where Ray looks last


@dataclass(frozen=True, slots=True)
class StageCommand:
    """The command line of a stage (`words`), and what of it names files.

    Attributes:
        config: the value of `--config`.
        overrides: the values of `--set`, and of options with a config key.
        inputs: every source of rows that the command names.
        out: the value of `--out`; None for a stage without one.
    """

    words: Sequence[str]
    config: str | None
    overrides: Sequence[str]
    inputs: Sequence[str]
    out: str | None


def submit(stage: StageCommand, args: argparse.Namespace) -> int:
    """Submit a stage with the options of `genprm submit`, follow it, return its exit status.

    Ctrl-C asks the job to stop. With `args.submission_id` a job of that name that still runs is
    followed instead. Where jobs of that name have ended, the next is called NAME.2, NAME.3 and so
    on.

    Raises:
        ConfigError: options that the stage would refuse, no cluster at the address, a token that
            is missing or wrong.
        InputError: an input file that would not be on the cluster.
    """
    check_stage(stage)
    entrypoint = shlex.join(["python", "-m", "cluster.cli", *stage.words])
    environment = read_environment(args.env)
    if args.debug:
        entrypoint += " --debug"
    if args.dry_run:
        print(f"entrypoint: {entrypoint}\nworking_dir: {Path.cwd()}")
        return 0
    if not args.debug:
        logging.disable(logging.INFO)  # Ray logs each package and connection
    client = connect(args.address)
    job_id, runs = choose_job_id(client, args.submission_id, entrypoint)
    if not runs:
        job_id = submit_job(client, job_id, entrypoint, environment)
    assert job_id is not None
    if args.no_wait:
        print(job_id)
        return 0
    return follow_job(client, job_id)


def check_stage(stage: StageCommand) -> None:
    """Refuse here what the stage would refuse there, as far as files allow."""
    config = stage.config
    if config is not None and not (configs_dir() / f"{config}.yaml").is_file():
        check_shipped(config)
    if config is None or not Path(config).is_absolute() or Path(config).is_file():
        find_kind(load_config(config, stage.overrides).train.kind)
    for source in stage.inputs:
        if not source.startswith(("hub:", "task:")):
            check_shipped(source)
    if stage.out and not is_uri(stage.out) and not Path(stage.out).is_absolute():
        raise ConfigError(
            f"--out {stage.out}: a job's own folder is deleted with it; give an absolute path or "
            "URI of storage that the cluster shares"
        )


def check_shipped(name: str) -> None:
    """InputError if a relative path is not part of what is shipped."""
    if is_uri(name) or Path(name).is_absolute():
        return
    here, path = Path.cwd(), Path(name).resolve()
    if not path.exists() or not path.is_relative_to(here):
        raise InputError(
            f"{name}: not in {here}, which is what the job gets; give an absolute path or URI "
            "of storage that the cluster sees"
        )
    if is_ignored(path):
        raise InputError(f"{name}: named by .gitignore and so not shipped; move it, or share it")


def is_ignored(path: Path) -> bool:
    """Whether git leaves the path out; False without git."""
    if not shutil.which("git"):
        return False
    command = ["git", "-C", str(Path.cwd()), "check-ignore", "--quiet", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def read_environment(names: Sequence[str]) -> dict[str, str]:
    """The values of the variables that `--env` names."""
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ConfigError(f"--env {missing[0]}: no such variable in this environment")
    return {name: os.environ[name] for name in names}


def connect(address: str | None) -> JobSubmissionClient:
    """Reach the cluster.

    Where RAY_AUTH_MODE is unset and there is a token, it is used, as `ray start` itself does.
    """
    address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
    if not address:
        raise ConfigError("--address: give the cluster's dashboard, such as http://head:8265")
    in_environment = any(map(os.environ.get, ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")))
    if in_environment or Path(TOKEN_FILE).expanduser().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # read when ray is first imported
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would let these override the address it is given.
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        first_line = str(error).split("\n")[0]
        raise ConfigError(f"{address}: {first_line}; {AUTH_HINT}") from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"no Ray dashboard at {address}: {one_line(error)}") from error


def choose_job_id(
    client: JobSubmissionClient, name: str | None, entrypoint: str
) -> tuple[str | None, bool]:
    """The job id to use, and whether a job of that id runs this very command already.

    Without a name any job that runs this command is taken, since two would write to one output.
    An id is never used twice: Ray's monitor of a job that was just stopped would take a new job of
    the same id for the old one, and call it failed.

    Raises:
        ConfigError: a job of that name runs another command.
    """
    jobs = [job for job in client.list_jobs() if job.submission_id]
    if name is None:
        for job in jobs:
            if job.entrypoint == entrypoint and not job.status.is_terminal():
                print(
                    f"genprm: job {job.submission_id} runs this already: following it",
                    file=sys.stderr,
                )
                return job.submission_id, True
        return None, False
    numbered = re.compile(rf"{re.escape(name)}(?:\.(\d+))?")
    attempts = {
        int(match[1] or 1): job for job in jobs if (match := numbered.fullmatch(job.submission_id))
    }
    for job in attempts.values():
        if job.status.is_terminal():
            continue
        if job.entrypoint != entrypoint:
            raise ConfigError(f"job {job.submission_id} runs another command: {job.entrypoint}")
        print(f"genprm: job {job.submission_id} runs already: following it", file=sys.stderr)
        return job.submission_id, True
    next_number = max(attempts, default=0) + 1
    return (name if next_number == 1 else f"{name}.{next_number}"), False


def submit_job(
    client: JobSubmissionClient, job_id: str | None, entrypoint: str, environment: dict[str, str]
) -> str:
    """Hand the command to the cluster with the current folder; returns the id of the job."""
    runtime_env: dict[str, Any] = {"working_dir": str(Path.cwd()), "env_vars": environment}
    try:
        submitted: str = client.submit_job(
            entrypoint=entrypoint, submission_id=job_id, runtime_env=runtime_env
        )
    except (RuntimeError, ValueError) as error:  # a folder too large, a server that says no
        raise GenprmError(f"the job was not taken: {one_line(error)}") from error
    print(f"genprm: submitted job {submitted}", file=sys.stderr)
    return submitted


def follow_job(client: JobSubmissionClient, job_id: str) -> int:
    """Print the job's output as it comes; returns its exit status once it has ended."""
    try:
        asyncio.run(print_logs(client, job_id))
        return exit_status(wait_for_end(client, job_id))
    except KeyboardInterrupt:
        client.stop_job(job_id)
        print(f"\ngenprm: asked job {job_id} to stop", file=sys.stderr)
        wait_for_end(client, job_id, STOP_SECONDS)
        print("genprm: the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED


async def print_logs(client: JobSubmissionClient, job_id: str) -> None:
    """Print the job's output as it comes, until it ends or the connection breaks."""
    try:
        async for text in client.tail_job_logs(job_id):
            print(text, end="", flush=True)
    except RuntimeError as error:  # the connection broke, not the job
        print(f"genprm: lost the job's output ({error}), waiting for its end", file=sys.stderr)


def wait_for_end(
    client: JobSubmissionClient, job_id: str, seconds: float | None = None
) -> JobDetails:
    """The job's details once it has ended, or after `seconds`."""
    start = time.monotonic()
    while True:
        details = client.get_job_info(job_id)
        waited = time.monotonic() - start
        if details.status.is_terminal() or (seconds is not None and waited > seconds):
            return details
        time.sleep(POLL_SECONDS)


def exit_status(details: JobDetails) -> int:
    """The exit status of the stage; of a job that ended without one, FAILED after the reason."""
    if details.status == "SUCCEEDED":
        return 0
    if details.status == "STOPPED":
        print("genprm: the job was stopped; the same command goes on", file=sys.stderr)
        return FAILED
    status: int | None = details.driver_exit_code
    if not status:  # it never ran: the reason is Ray's
        message = one_line(details.message or "", 500)
        print(f"genprm: error: the job failed: {message}", file=sys.stderr)
        return FAILED
    return status
