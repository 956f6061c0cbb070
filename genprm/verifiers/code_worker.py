"""Runs a program and then its tests: the text of this file is what the sandbox runs.

It needs nothing of genprm. Stdin has one line of JSON each for the word, the tests and the program.
The word is the proof, with a sign behind it, that all tests ran. Where the program or a test goes
wrong, the process ends without it.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, NoReturn

PASSED, NOTHING_RAN, CANNOT_RUN = "+", "-", "!"  # behind the word
# Kept apart while the program runs, which gets its own if it imports them.
_TEST_LIBRARIES = ("unittest", "pytest", "_pytest", "pluggy")


def main() -> None:
    """Write the word and a sign to stdout; what the program prints itself is dropped."""
    read = sys.stdin.buffer.readline
    # The program runs last, while Python holds the arguments before it: neither the word nor the
    # tests are in a variable that the program could reach through the frames of its callers.
    os.write(
        os.dup(1),
        json.loads(read()).encode()
        + _run_tests(_prepare(**json.loads(read())), _run_program(json.loads(read()))).encode(),
    )


class Solution(types.ModuleType):
    """The program as a module, under each of the names by which tests import it."""

    parts: tuple[str, ...] = ("solution",)  # of these names

    def __getattr__(self, name: str) -> Any:
        if name in self.parts:
            return self
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class Leaving(SystemExit):
    """Tests ended a piece by `sys.exit` or its like."""


def _leave(status: object = None, *_: object) -> NoReturn:
    raise Leaving(status)


def _prepare(**request: Any) -> dict[str, Any]:
    """Import what the tests import, before the program can change it; the request, with what brings
    these modules back."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    # as in a Python that is started by a user
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    for name, needed in request["imports"]:
        try:
            importlib.import_module(name)
        except Exception as error:
            if needed:
                request["fault"] = _describe(error)
    if request["runner"]:
        importlib.import_module(request["runner"])
    return {**request, "names": dict(builtins.__dict__), "restore": _snapshot()}


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _run_program(cells: list[tuple[str, list[str]]]) -> Solution:
    """Run the cells of a program: code, and the names that do not count if it raises."""
    solution = sys.modules["solution"] = Solution("solution")
    space = solution.__dict__
    # `__name__` is that of a module, so that the part of a script under `__main__` does not run.
    for code, names in cells:
        before = {name: space[name] for name in names if name in space}
        try:
            exec(compile(code, "solution", "exec", dont_inherit=True), space)
        except BaseException as error:  # the tests decide, on what the others define
            for name in names:
                space.pop(name, None)
            if isinstance(error, ImportError):  # this block was never meant for here
                space.update(before)
    return solution


def _run_tests(request: dict[str, Any], solution: Solution) -> str:
    """The sign behind the word. Raises where a test fails."""
    request["restore"]()
    if "fault" in request:
        return f"{CANNOT_RUN}{request['fault']}"
    try:
        return PASSED if _count_tests(request, solution) else NOTHING_RAN
    except ImportError as error:
        return f"{CANNOT_RUN}{_describe(error)}"


def _count_tests(request: dict[str, Any], solution: Solution) -> int:
    """Run the tests; how many ran, where statements count as one."""
    modules, program, true_names = sys.modules, vars(solution), request["names"]
    # Tests have names of their own, so that the program's `abs` is not theirs, nor theirs its.
    modules["__main__"] = main = types.ModuleType("__main__")
    space = vars(main)
    space["__builtins__"] = {**true_names, request["leave"]: _leave}
    modules["solution"] = solution
    for name in request["modules"]:
        modules[name] = solution
        Solution.parts += (name.rpartition(".")[2],)
    collection = types.ModuleType("tests")
    collected = vars(collection)
    own = set(space)
    checks = []
    for number, piece in enumerate(request["pieces"]):
        for name in {*program, *request["replaced"]} - own:
            if name in request["replaced"] or not (name in true_names or _is_special(name)):
                space[name] = getattr(solution, name)
        before = dict(space)
        try:
            exec(compile(piece, "tests", "exec", dont_inherit=True), space)
        except Leaving as leaving:
            if leaving.code:
                raise
        new = {n: v for n, v in space.items() if n not in before or before[n] is not v}
        own |= new.keys()
        checks += [(new[name], takes_it) for name, takes_it in request["checks"] if name in new]
        for name, value in new.items():
            if name not in request["helpers"]:
                again = name in collected and isinstance(value, type | types.FunctionType)
                collected[f"{name}_{number}" if again else name] = value
            # Modules and classes of the tests are there for a program that does without.
            if isinstance(value, types.ModuleType | type) and name not in true_names:
                program.setdefault(name, value)
    for check, takes_it in checks:
        check(*[eval(request["candidate"] or "", program)] * takes_it)
    ran: int = len(checks) + request["statements"]
    if request["runner"]:
        modules["__main__"] = collection  # `setUpModule` and its like are looked for there
        run = _run_pytest if request["runner"] == "pytest" else _run_unittest
        ran += run(collection)
    return ran


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _snapshot() -> Callable[[], None]:
    """A function that brings back what tests rely on, as it is now: the contents of all modules and
    of their classes, and the state of the interpreter."""
    modules, environment = sys.modules, os.environ
    libraries = {n: m for n, m in modules.items() if _is_test_library(n)}
    for name in libraries:
        del modules[name]
    old_modules, old_environment = dict(modules), dict(environment)
    spaces = [
        (vars(m), dict(vars(m))) for m in old_modules.values() if isinstance(m, types.ModuleType)
    ]
    spaces.append((globals(), dict(globals())))
    classes = {c for _, space in spaces for c in space.values() if isinstance(c, type)}
    members = [(c, dict(vars(c))) for c in classes]
    path, finders, hooks = list(sys.path), list(sys.meta_path), list(sys.path_hooks)

    def restore() -> None:
        sys.settrace(None)
        sys.setprofile(None)
        threading.settrace(None)
        for space, old in spaces:
            for name in space.keys() - old.keys() & builtins.__dict__.keys():
                del space[name]  # would hide what is built in
            space.update(old)
        for owner, old in members:
            for name in vars(owner).keys() - old.keys():
                if _is_special(name):  # would take the place of what is inherited
                    delattr(owner, name)
            for name, value in old.items():
                if vars(owner).get(name) is not value:
                    setattr(owner, name, value)
        for name in [name for name in modules if _is_test_library(name)]:
            del modules[name]
        modules.update(old_modules)
        modules.update(libraries)
        environment.clear()
        environment.update(old_environment)
        sys.path, sys.meta_path, sys.path_hooks = path, finders, hooks
        sys.path_importer_cache.clear()
        sys.modules = modules

    return restore


def _is_test_library(name: str) -> bool:
    return name.partition(".")[0] in _TEST_LIBRARIES


def _run_unittest(collection: types.ModuleType) -> int:
    """Run functions and classes; how many passed.

    Raises:
        AssertionError: one failed, or was skipped while it ran.
    """
    import unittest

    suite = unittest.defaultTestLoader.loadTestsFromModule(collection)
    suite.addTests(
        unittest.FunctionTestCase(value)
        for name, value in vars(collection).items()
        if name.startswith("test") and isinstance(value, types.FunctionType)
    )
    result = unittest.TestResult()
    suite.run(result)
    for test, _ in result.skipped:  # by a decorator: it is the tests' own wish
        method = getattr(test, getattr(test, "_testMethodName", ""), None)
        if not any(getattr(part, "__unittest_skip__", False) for part in (test, method)):
            raise AssertionError(f"{test} was skipped while it ran")
    if not result.wasSuccessful():
        raise AssertionError(result)
    return result.testsRun - len(result.skipped)


def _run_pytest(collection: types.ModuleType) -> int:
    """Run functions and classes; how many passed.

    Raises:
        AssertionError: one failed, was skipped while it ran, or did not run.
    """
    import asyncio
    import inspect

    import pytest

    class Tests(pytest.Module):
        def _getobj(self) -> types.ModuleType:
            return collection

    class Plugin:
        expected = passed = skipped = 0

        def pytest_pycollect_makemodule(self, module_path: Any, parent: Any) -> Any:
            return Tests.from_parent(parent, path=module_path)

        def pytest_collection_finish(self, session: pytest.Session) -> None:
            self.expected = len(session.items)

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
            test = pyfuncitem.obj
            if not inspect.iscoroutinefunction(test):
                return None
            names = inspect.signature(test).parameters
            asyncio.run(test(**{name: pyfuncitem.funcargs[name] for name in names}))
            return True

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call":
                self.passed += report.passed or hasattr(report, "wasxfail")
            elif report.skipped and {"skip", "skipif"} & set(report.keywords):
                self.skipped += 1  # by a mark: it is the tests' own wish

    plugin = Plugin()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # The plugin puts the tests into the place of that file. No file of the program is read.
    options = ["-c", os.devnull, "--noconftest", "--assert=plain", "-s", "-pno:cacheprovider"]
    status = pytest.main([*options, "--rootdir=/", os.__file__], plugins=[plugin])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise AssertionError(status)
    if plugin.passed + plugin.skipped != plugin.expected:
        raise AssertionError("not all tests ran")
    return plugin.passed


if __name__ == "__main__":
    main()
