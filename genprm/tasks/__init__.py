"""Built-in tasks: unlimited problems with exact answers, for tests, demonstrations and training.

load("task:arithmetic?n=1000&seed=7&variant=hard")
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from genprm.errors import InputError
from genprm.records import Problem
from genprm.tasks.arithmetic import Arithmetic
from genprm.tasks.base import RuleCritique, Task
from genprm.tasks.tracking import Tracking

TASKS: dict[str, Task] = {task.name: task for task in (Arithmetic(), Tracking())}
PREFIX = "task:"

__all__ = ["PREFIX", "TASKS", "RuleCritique", "Task", "get", "load"]


def get(name: str) -> Task:
    """The built-in task of that name.

    Raises:
        InputError: there is no such task.
    """
    if name not in TASKS:
        raise InputError(f"unknown task {name!r}; built in are {', '.join(sorted(TASKS))}")
    return TASKS[name]


def load(spec: str) -> list[Problem]:
    """The problems of `task:NAME?n=..&seed=..&variant=..`; the defaults are n=100 and seed=0.

    Raises:
        InputError: an unknown task or option, or `n` or `seed` is not a whole number.
    """
    name, _, query = spec.removeprefix(PREFIX).partition("?")
    task = get(name)
    options = dict(parse_qsl(query, keep_blank_values=True))
    numbers = {}
    for key, default in (("n", 100), ("seed", 0)):
        text = options.pop(key, str(default))
        if not text.isdigit():
            raise InputError(f"{spec}: {key} must be a whole number, not {text!r}")
        numbers[key] = int(text)
    for key, value in options.items():
        if value not in task.options.get(key, ()):
            allowed = "; ".join(f"{k}={'|'.join(v)}" for k, v in task.options.items())
            raise InputError(f"{spec}: no option {key}={value} (there is {allowed})")
    return task.generate(numbers["n"], numbers["seed"], **options)
