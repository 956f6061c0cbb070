"""Runs a program and then its tests: the text of this file is what the sandbox runs.

It needs nothing of genprm. Where the program or a test goes wrong, the process ends without the
proof that all tests ran.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from collections.abc import Callable
from typing import Any

PASSED, NOTHING_RAN = b"+", b"-"  # behind the word
# Imported anew after the program has run, as they are on disk.
_TEST_LIBRARIES = ("unittest", "pytest", "_pytest", "pluggy")


def main(
    word: bytes,
    cells: list[tuple[str, tuple[str, ...]]],
    tests: dict[str, Any],
    candidate: str | None,
) -> None:
    """Write `word` and a sign to stdout if the program passes; what it prints itself is dropped.

    Args:
        cells: code of the program, and the names that do not count if it raises.
        tests: the fields of `CodeTests`.
        candidate: the expression that `check(candidate)` gets.
    """
    write, proof, null = os.write, os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    restore = _snapshot()
    solution = types.ModuleType("solution")
    modules, space = sys.modules, solution.__dict__
    modules["solution"] = solution
    # `__name__` is that of a module, so that the part of a script under `__main__` does not run.
    for code, names in cells:
        try:
            exec(compile(code, "solution", "exec", dont_inherit=True), space)
        except BaseException:  # the tests decide, on what the others define
            for name in names:
                space.pop(name, None)
    restore()

    modules["__main__"] = solution
    space["__name__"] = "__main__"  # tests may be under `if __name__ == "__main__"`
    _add_aliases(tests["modules"], solution)
    collection = types.ModuleType("tests")
    collected = collection.__dict__
    checks = []
    for number, piece in enumerate(tests["pieces"]):
        before = dict(space)
        exec(compile(piece, "tests", "exec", dont_inherit=True), space)
        new = {n: v for n, v in space.items() if n not in before or before[n] is not v}
        checks += [(new[name], takes_it) for name, takes_it in tests["checks"] if name in new]
        for name, value in new.items():
            if name not in tests["helpers"]:
                again = name in collected and isinstance(value, type | types.FunctionType)
                collected[f"{name}_{number}" if again else name] = value
    for check, takes_it in checks:
        check(*[eval(candidate or "", space)] * takes_it)
    ran = tests["statements"] or bool(checks)
    if tests["runner"] is not None:
        modules["__main__"] = collection  # `setUpModule` and its like are looked for there
        run = _run_pytest if tests["runner"] == "pytest" else _run_unittest
        ran = run(collection) > 0 or ran
    write(proof, word + (PASSED if ran else NOTHING_RAN))


def _snapshot() -> Callable[[], None]:
    """A function that brings back what tests rely on, as it is now."""
    names, modules, environment = builtins.__dict__, sys.modules, os.environ
    old_names, old_modules, old_environment = dict(names), dict(modules), dict(environment)
    streams = sys.stdin, sys.stdout, sys.stderr
    path, finders, hooks = list(sys.path), list(sys.meta_path), list(sys.path_hooks)

    def restore() -> None:
        names.update(old_names)
        modules.update(old_modules)
        for name in [n for n in modules if n.partition(".")[0] in _TEST_LIBRARIES]:
            del modules[name]
        environment.clear()
        environment.update(old_environment)
        sys.path, sys.meta_path, sys.path_hooks = path, finders, hooks
        sys.stdin, sys.stdout, sys.stderr = streams
        sys.path_importer_cache.clear()
        sys.modules = modules

    return restore


def _add_aliases(names: list[str], solution: types.ModuleType) -> None:
    """Let the program be imported under the names that the tests have for it."""
    import importlib.util

    for name in names:
        top = name.partition(".")[0]
        if sys.modules.get(top) is solution or importlib.util.find_spec(top) is None:
            sys.modules[name] = solution


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
