"""Untrusted code: what passes, and what the sandbox keeps it from."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from genprm.errors import ConfigError, InputError
from genprm.records import Problem
from genprm.verifiers import sandbox as sandbox_module
from genprm.verifiers import verifier_for
from genprm.verifiers.base import grade
from genprm.verifiers.code import CodeVerifier
from genprm.verifiers.code_tests import read_tests
from genprm.verifiers.code_text import choose_function, read_cells
from genprm.verifiers.sandbox import UNSAFE, Limits, run_python, sandbox_program

needs_sandbox = pytest.mark.skipif(sandbox_program() is None, reason="no working bubblewrap")
SMALL = Limits(seconds=5, memory_mib=256, processes=4, output_bytes=1000, scratch_mib=1)
PATIENT = Limits(seconds=60)  # pytest may start slowly on a busy machine
PROBLEM = Problem(id="p", problem="Add.", tests=["assert add(1, 2) == 3", "assert add(0, 0) == 0"])


def passes(*steps: str) -> bool | None:
    return grade(CodeVerifier(SMALL), PROBLEM, steps).correct


@needs_sandbox
def test_right_and_wrong_programs() -> None:
    assert verifier_for(PROBLEM).name == "code"
    assert passes("def add(a, b):", "    return a + b")
    assert passes("Here it is.\n```python\ndef add(a, b):\n    return a + b\n```\nDone.")
    assert passes("def add(a, b):\n    return a - b") is False
    assert passes("def add(a, b:") is False
    assert passes("x = 1") is False
    assert passes("print('hello')\ndef add(a, b):\n    return a + b")
    assert passes("def compile(x): ...\ndef print(x): ...\ndef add(a, b):\n    return a + b")
    assert passes("```text\nplan\n```\n```python3\ndef add(a, b):\n    return a + b\n```")
    assert passes("```py\ndef add(a, b):\n    return a + b\n```\n```\n3\n```\nThe output.")
    assert passes("```python\ndef add(a, b):\n    return a + b")
    assert passes("def add(a, b):\n    return a + b\nif __name__ == '__main__': input()")


@needs_sandbox
@pytest.mark.parametrize(
    "trick",
    [
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "raise SystemExit",
        "print('ok')\n'''",
        "def add(a, b):\n    return a + b\nwhile True: pass",
        "import os; os.kill(os.getppid(), 9)",
        "exec = lambda *a: None",
        "import builtins; builtins.exec = builtins.compile = lambda *a: None",
        "import os, sys; os.write = print; sys.exit = print",
    ],
)
def test_leaving_early_does_not_pass(trick: str) -> None:
    assert passes(trick) is False


RIGHT = "def twice(x):\n    return 2 * x"
WRONG = "def twice(x):\n    return x + 3"  # right for 3 alone
HUMANEVAL = """

METADATA = {'author': 'a', 'dataset': 'test'}


def check(candidate):
    assert candidate(3) == 6
    assert candidate(0) == 0
"""
UNITTEST = """import unittest
class Tests(unittest.TestCase):
    def setUp(self):
        self.number = 5
    def test_three(self):
        self.assertEqual(twice(3), 6)
    def test_number(self):
        self.assertEqual(twice(self.number), 10)
    @unittest.skip("not now")
    def test_later(self):
        self.fail()
"""
PYTEST = """import pytest
@pytest.fixture
def number():
    return 5
@pytest.mark.parametrize("x, y", [(3, 6), (0, 0)])
def test_numbers(x, y):
    assert twice(x) == y
def test_fixture(number, tmp_path):
    assert twice(number) == 10 and tmp_path.is_dir()
def test_refusal():
    with pytest.raises(TypeError):
        twice(None)
@pytest.mark.skip
def test_later():
    assert False
async def test_waiting():
    assert twice(5) == 10
"""
FORMS = {
    "statements": ["assert twice(3) == 6", "assert twice(0) == 0"],
    "a statement in two pieces": ["if True:", "    assert twice(0) == 0"],
    "HumanEval": [HUMANEVAL],
    "HumanEval, a helper behind it": [
        "def check(candidate):\n    same(candidate(0), 0)\n    same(candidate(3), 6)",
        "def same(a, b):\n    assert a == b",
    ],
    "HumanEval, called": [HUMANEVAL + "check(twice)"],
    "HumanEval, called by a test": [HUMANEVAL, "def test_check():\n    check(twice)"],
    "HumanEval, piece by piece": [
        f"def check(candidate):\n    assert candidate({x}) == {2 * x}" for x in (0, 3)
    ],
    "functions": [
        "def test_a():\n    assert twice(3) == 6\ndef test_b():\n    assert twice(0) == 0"
    ],
    "functions of one name": [f"def test():\n    assert twice({x}) == {2 * x}" for x in (0, 3)],
    "a helper": ["def test_one(x):\n    assert twice(x) == 2 * x\ntest_one(5)"],
    "unittest": [UNITTEST],
    "unittest, started": [UNITTEST + "if __name__ == '__main__':\n    unittest.main()"],
    "unittest, imported": [
        "from unittest import TestCase\nfrom my.solution import twice\nclass Base(TestCase): pass\n"
        "class Doubling(Base):\n    def test(self):\n        assert twice(0) == 0"
    ],
    "under main": ["if __name__ == '__main__':\n    assert twice(0) == 0"],
    "pytest": [PYTEST],
    "a class for pytest, started": [
        "import sys, pytest\nclass TestTwice:\n    def setup_method(self):\n        self.x = 5\n"
        "    def test_it(self):\n        assert twice(self.x) == 10\n"
        "if __name__ == '__main__':\n    sys.exit(pytest.main([__file__]))"
    ],
}


def doubles(tests: list[str], program: str, **columns: str) -> bool | None:
    problem = Problem(id="d", problem="Double a number.", tests=tests, **columns)
    assert verifier_for(problem).name == "code"
    return grade(CodeVerifier(PATIENT), problem, [program]).correct


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize("form", FORMS)
def test_tests_run_as_their_form_asks(form: str) -> None:
    assert doubles(FORMS[form], f"{RIGHT}\ndef test_mine():\n    assert False\ncheck = None")
    assert doubles(FORMS[form], WRONG) is False
    assert doubles(FORMS[form], "def twice(x):\n    return None") is False


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize(
    "trick",
    [
        "def twice(x):\n    import sys; sys.exit(0)",
        "def twice(x):\n    import os; os._exit(0)",
        "def twice(x):\n    import unittest; raise unittest.SkipTest('no')",
        "def twice(x):\n    import pytest; pytest.skip('no')",
        "def twice(x):\n    import pytest; pytest.exit('done', returncode=0)",
        "def check(candidate): pass\ntwice = print",
        "def twice(x): pass\ndef test_numbers(): pass\ndef test_fixture(): pass",
        "import unittest\nclass Kind(unittest.TestCase):\n    def __getattribute__(self, name):\n"
        "        return print\nunittest.TestCase = Kind\nunittest.TestResult.wasSuccessful = bool\n"
        "unittest.TestCase.assertEqual = print\ntwice = print",
        "import sys, types\nfor name in ('unittest', 'pytest'):\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    module.TestCase, module.main, module.fixture = object, print, print\ntwice = print",
        "import os\nos.environ['PYTEST_ADDOPTS'] = '--collect-only'\n"
        "open('conftest.py', 'w').write('collect_ignore_glob = [\"*\"]')\n"
        "open('pytest.ini', 'w').write('[pytest]\\naddopts = --collect-only')\n"
        "open('unittest.py', 'w').write('')\nopen('pytest.py', 'w').write('')\n"
        "import sys; sys.path.insert(0, '.')\ntwice = print",
        "import builtins\nbuiltins.isinstance = builtins.exec = lambda *a: False\ntwice = print",
    ],
)
def test_no_form_is_tricked(trick: str) -> None:
    for form in ("HumanEval", "unittest", "pytest"):
        assert doubles(FORMS[form], trick) is False


@needs_sandbox
@pytest.mark.parametrize(
    "tests",
    [
        ["try:\n    assert twice(3) == 6\nexcept Exception:\n    pass"],
        ["def check(candidate):\n    pass"],
        ["import random\nrandom.seed(0)"],
        ["from solution import twice\nprint(len('abc'))"],
        ["from solution import twice\nclass TestTwice:\n    test = None\nTestTwice()"],
        ["import unittest\nfrom solution import twice\nclass T(unittest.TestCase):\n    pass"],
        ["import unittest as u\nclass T(u.TestCase):\n    @u.skip('')\n    def test(self): 1/0"],
        ["def test_a():\n    pass"],
        ["import pytest\n@pytest.mark.parametrize('x', [])\ndef test_a(x):\n    assert twice(x)"],
        ["import pytest\ndef test_a():\n    with pytest.raises(Exception):\n        twice(3)"],
    ],
)
def test_tests_that_pass_without_a_solution_are_refused(tests: list[str]) -> None:
    for program in (RIGHT, WRONG):
        with pytest.raises(InputError, match="its tests pass without a solution"):
            doubles(tests, program)


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ([""], "are blank"),
        (["# to do"], "are blank"),
        ([" \n", "# a\n# b"], "are blank"),
        (["def verify(f):\n    assert f(3) == 6"], "only define names, and nothing uses these"),
        (["import math", "CASES = [(3, 6)]"], "only define names, and nothing uses these"),
        (["class Helper:\n    def run(self):\n        assert False"], "only define names"),
        (["import unittest\nunittest.main()"], "only define names"),
        (["assert twice(3) ="], "are not Python"),
    ],
)
def test_tests_of_which_nothing_runs_are_refused_as_they_are_read(
    tests: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=f"^problem 'd': its tests {message}"):
        verifier_for(Problem(id="d", problem="Double.", tests=tests))


HELPED = "def plus(x, y=None):\n    return x + (y or x)\ndef twice(x):\n    return plus(x)\n"
ABS = ["def check(candidate):\n    assert abs(candidate(3) - 6) < 1e-6"]
ALIKE = ["import math\nassert math.isclose(twice(3.0), 6.0)"]
COUNTS = ["from collections import Counter\nassert Counter([twice(3)]) == Counter([6])"]
SORTED = ["assert sorted([twice(3), 0]) == [0, 6]"]
FRAMES = (
    "    spaces = []\n    frame = sys._getframe()\n    while frame:\n"
    "        spaces += [dict(frame.f_locals), dict(frame.f_globals), frame.f_code.co_consts]\n"
    "        frame = frame.f_back\n"
    "    spaces += [dict(vars(m)) for m in list(sys.modules.values()) if hasattr(m, '__dict__')]\n"
    "    spaces += [f.f_locals for f in sys._current_frames().values()]\n"
    "    for word in set(re.findall('[0-9a-f]{32}', repr(spaces))):\n"
    "        for fd in range(1, 20):\n"
    "            try: os.write(fd, word.encode() + b'+')\n"
    "            except OSError: pass\n"
    "    os._exit(0)\n"
)


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize(
    ("tests", "program"),
    [
        (ABS, "def abs(x): return -1"),
        (ABS, "import builtins\n__builtins__ = {**vars(builtins), 'abs': lambda x: -1}"),
        (SORTED, "def sorted(x): return [0, 6]"),
        (["assert set([twice(3)]) == set([6])"], "def set(x): return 1"),
        (["import solution\nassert len([0] * solution.twice(3)) == 6"], "def len(x): return 6"),
        (ALIKE, "import math\nmath.isclose = lambda *a, **k: True"),
        (COUNTS, "import collections\ncollections.Counter = lambda x: 1"),
        (COUNTS, "import collections\ncollections.Counter.__eq__ = lambda *a: True"),
        (
            ["from fractions import Fraction\nassert Fraction(twice(3)) == 6"],
            "import fractions\nfractions.Fraction.__eq__ = lambda *a: True",
        ),
        (
            ["import statistics\nassert statistics.mean([twice(3)]) == 6"],
            "import statistics\nstatistics.iter = lambda x: [6, 6].__iter__()",
        ),
        ([UNITTEST], "import unittest.case\nunittest.case.TestCase.assertEqual = print"),
        (
            [UNITTEST],
            "import difflib, traceback\nimport unittest.case as c\nc.TestCase.run = print",
        ),
        (
            ["import sys\ntwice(0)\nassert twice(3) == 6\nsys.exit(0)"],
            "import sys\ntwice = sys.exit",
        ),
        (["def f(x):\n    return 1\nassert f(0) != twice(3) == 6"], "def f(x): return 2"),
        (ABS, f"import os, re, sys\nif True:\n{FRAMES}"),
        (ABS, f"import os, re, sys\ndef twice(x):\n{FRAMES}"),
        (
            ABS,
            "import sys\nframe = sys._getframe()\nwhile frame:\n"
            "    for value in [*frame.f_locals.values()]:\n"
            "        if type(value) is dict:\n"
            "            value.update(pieces=[''], checks=[], statements=True)\n"
            "    frame.f_globals['_run_tests'] = frame.f_globals['_count_tests'] = lambda *a: '+'\n"
            "    frame = frame.f_back",
        ),
    ],
)
def test_a_program_does_not_reach_what_tests_rely_on(tests: list[str], program: str) -> None:
    assert doubles(tests, RIGHT)
    definition = "" if "twice" in program else "\ndef twice(x):\n    return x + 4"
    assert doubles(tests, program + definition) is False


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize(
    ("tests", "program"),
    [
        (["assert list([twice(3)]) == [6]"], f"{RIGHT}\nlist = [1, 2]"),
        (["assert sum([twice(3), 1]) == 7"], f"{RIGHT}\nsum = 0"),
        (["assert sum(3, 4) == 7", "assert sum(1, 1) == 2"], "def sum(a, b):\n    return a + b"),
        (["def plus(x):\n    return 9\nassert twice(3) == 6 and plus(1) == 9"], HELPED),
        (["import math", "assert twice(3) == 6"], "def twice(x):\n    return math.floor(2 * x)"),
        (
            ["class Box:\n    x = 3", "assert twice(Box()).x == 6"],
            "def twice(b):\n    box = Box()\n    box.x = 2 * b.x\n    return box",
        ),
        (
            ["from fractions import Fraction\nassert isinstance(twice(Fraction(3)), Fraction)"],
            f"from fractions import Fraction\n{RIGHT}",
        ),
        (
            ["twice(3)", "assert calls == 1"],
            "calls = 0\ndef twice(x):\n    global calls\n    calls += 1",
        ),
    ],
)
def test_program_and_tests_each_have_names_of_their_own(tests: list[str], program: str) -> None:
    assert doubles(tests, program)


CASE = "class T({}):\n    def test_a(self):\n        self.assertEqual(twice(3), 6)\n"
MAIN = "if __name__ == '__main__':\n    "


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize(
    "tests",
    [
        f"from unittest import TestCase, main\n{CASE.format('TestCase')}{MAIN}main()",
        f"from unittest import *\n{CASE.format('TestCase')}{MAIN}main()",
        f"from unittest import main as run, TestCase\n{CASE.format('TestCase')}{MAIN}run()",
        f"import unittest as ut\n{CASE.format('ut.TestCase')}{MAIN}ut.main()",
        f"import unittest as ut\n{CASE.format('ut.TestCase')}program = ut.main(exit=False)\n"
        "assert program.result.wasSuccessful()",
        f"import unittest, sys\n{CASE.format('unittest.TestCase')}{MAIN}"
        "runner = unittest.TextTestRunner()\n    "
        "suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])\n    "
        "sys.exit(not runner.run(suite).wasSuccessful())",
        "from sys import exit as leave\ndef main():\n    assert twice(3) == 6\n    leave()\nmain()",
        "def test_a():\n    assert twice(3) == 6\ntest_a()\nraise SystemExit",
        "assert twice(3) == 6\nexit()",
        "import pytest as p, sys\ndef test_a():\n    assert twice(3) == 6\n"
        "code = p.main([__file__])\nsys.exit(code)",
    ],
)
def test_a_runner_or_an_exit_ends_the_tests_and_not_the_proof(tests: str) -> None:
    verifier = CodeVerifier(PATIENT)
    for program, right in ((RIGHT, True), ("def twice(x):\n    return x", False)):
        problem = Problem(id="d", problem="Double.", tests=[tests])
        assert grade(verifier, problem, [program]).correct is right


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize(
    "tests",
    [
        "import my_sol\nassert my_sol.twice(3) == 6",
        "import my_sol as m\nassert m.twice(3) == 6",
        "import my.sol\nassert my.sol.twice(3) == 6",
        "from my import solution\nassert solution.twice(3) == 6",
        "from my_sol import *\nassert twice(3) == 6",
        "from .my_sol import twice\nassert twice(3) == 6",
        "from . import my_sol\nassert my_sol.twice(3) == 6",
        "import solution, math\nassert math.floor(solution.twice(3)) == 6",
        "import numpy as np\nimport my_sol\nassert np.allclose([my_sol.twice(3)], [6])",
        "from numpy.testing import assert_allclose\nassert_allclose(twice(3), 6)",
        "import numpy as np\ndef check(candidate):\n    assert np.allclose(candidate(3), 6)",
        "try:\n    import numpy9 as np\nexcept ImportError:\n    np = None\nassert twice(3) == 6",
    ],
)
def test_imports_of_tests_are_the_program_or_what_is_installed(tests: str) -> None:
    for program in (RIGHT, "def twice(x):\n    return x\ndef assert_allclose(*a): pass"):
        problem = Problem(id="d", problem="Double.", tests=[tests])
        verdict = grade(CodeVerifier(PATIENT), problem, [program]).correct
        assert verdict is (program == RIGHT)


@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize(
    ("tests", "module"),
    [
        (
            "import numpy9 as np\ndef check(candidate):\n    assert np.sum(candidate(3)) == 6",
            "numpy9",
        ),
        ("from numpy9.testing import same\nsame(twice(3), 6)", "numpy9"),
        (
            "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n"
            "        import numpy9\n        assert twice(3) == 6",
            "numpy9",
        ),
        ("from code import twice\nassert twice(3) == 6", "'twice' from 'code'"),
    ],
)
def test_tests_that_cannot_run_are_refused_by_what_is_missing(tests: str, module: str) -> None:
    for program in (RIGHT, WRONG):
        with pytest.raises(ConfigError, match=f"problem 'd': its tests cannot run here.*{module}"):
            doubles([tests], program)


@pytest.mark.parametrize(
    ("problem", "program", "function"),
    [
        ("Double.", RIGHT, "twice"),
        ("Double.", HELPED, "twice"),
        ("Double.", f"{HELPED}def main():\n    print(twice(3))", "twice"),
        ("Double.", "def twice(x):\n    return plus(x)\ndef plus(x):\n    return x + x", "twice"),
        ("Write `f`.", "def f(x): return g(x)\ndef h(x): return f(x)\ndef g(x): pass", "f"),
        ("Double.", "twice = lambda x: 2 * x", "twice"),
        ("Double.", "twice = 3", None),
        ("Double.", "def twice(", None),
    ],
)
def test_the_candidate_is_the_function_that_is_meant(
    problem: str, program: str, function: str | None
) -> None:
    tests = read_tests(Problem(id="d", problem=problem, tests=[HUMANEVAL]))
    assert choose_function(read_cells(program), problem, tests.arguments) == function


@needs_sandbox
def test_the_candidate_is_the_entry_point_where_the_row_has_one() -> None:
    both = f"{RIGHT}\ndef thrice(x):\n    return 3 * x"
    assert doubles([HUMANEVAL], both) is False
    assert doubles([HUMANEVAL], both, entry_point="twice")
    assert doubles([HUMANEVAL], RIGHT, entry_point="thrice") is False
    method = "class Solution:\n    def twice(self, x):\n        return 2 * x"
    assert doubles([HUMANEVAL], method, entry_point="Solution().twice")


PROMPT = """import math
def plus(a, b):
    return a + b


def twice(x: int) -> int:
    \"\"\" Double a number.
    >>> twice(3)
    6
    \"\"\"
"""


@needs_sandbox
@pytest.mark.parametrize(
    ("program", "right"),
    [
        ("    return plus(x, x)\n", True),
        ("    if x:\n        return 2 * x\n    return math.ceil(x)", True),
        ("```python\n    return 2 * x\n```", True),
        ("    return x", False),
        ("pass", False),
        ("No idea.", False),
        ("    return 2 * x\n\n\ndef other(y):\n    return y\n", True),
        ("    return x\n\n\ndef other(y):\n    return y\n", False),
        ("    return 2 * x\n\n\nif __name__ == '__main__':\n    print(twice(3))", True),
        ("    def inner(y):\n        return y\n    return inner(2 * x)\n\ndef other(y): ...", True),
        ("if x:\n        return 2 * x\n    return 0", True),
        ("y = 2 * x\n    return y\n\ndef other(y):\n    return y", True),
        (PROMPT + "    return 2 * x", True),
        (PROMPT, False),
        ("def twice(x):\n    return plus(x, x)", True),
        ("def twice(x):\n    return 2 * x\n1 / 0", False),
    ],
)
def test_a_humaneval_prompt_is_the_beginning_of_the_program(program: str, right: bool) -> None:
    problem = Problem(id="d", problem=PROMPT, tests=[HUMANEVAL], entry_point="twice")
    assert grade(CodeVerifier(PATIENT), problem, [program]).correct is right


@needs_sandbox
def test_a_prompt_may_be_a_block_and_must_not_be_a_solution() -> None:
    for code, body in ((PROMPT, "return plus(x, x)"), (RIGHT, "pass")):
        text = f"Complete this:\n\n{fenced(code)}"
        problem = Problem(id="d", problem=text, tests=[HUMANEVAL], entry_point="twice")
        if code == PROMPT:
            assert grade(CodeVerifier(PATIENT), problem, [body]).correct
        else:
            with pytest.raises(InputError, match="its tests pass without a solution"):
                grade(CodeVerifier(PATIENT), problem, [body])


def fenced(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```\n"


def indented(text: str, by: str) -> str:
    return "".join(by + line for line in text.splitlines(keepends=True))


SESSION = ">>> def twice(x):\n...     return 2 * x\n...\n>>> twice(3)\n6"
TEXTS = {
    "a list": ("1. The code:\n\n" + indented(fenced(RIGHT), "   "), True),
    "a list, wrong": ("1. The code:\n\n" + indented(fenced(WRONG), "   "), False),
    "a list, by tabs": ("- The code:\n" + indented(fenced(RIGHT), "\t"), True),
    "behind a marker": ("1. " + indented(fenced(RIGHT), "   ").lstrip(), True),
    "only the code is indented": (f"```python\n{indented(RIGHT, '    ')}\n```", True),
    "only the fences are indented": (f"   ```python\n{RIGHT}\n   ```", True),
    "two blocks of a list": (
        "- One:\n"
        + indented(fenced("def plus(a, b):\n    return a + b"), "  ")
        + "- Two:\n"
        + indented(fenced("def twice(x):\n    return plus(x, x)"), "    "),
        True,
    ),
    "a function in two blocks": (
        fenced("def twice(x):") + "Then:\n" + fenced("    y = 2 * x\n    return y"),
        True,
    ),
    "a class in two blocks": (
        fenced("class A:\n    def a(self, x):\n        return self.b(x)")
        + fenced("    def b(self, x):\n        return 2 * x\ntwice = A().a"),
        True,
    ),
    "indented code in two blocks": (
        fenced("    def plus(a, b):\n        return a + b")
        + fenced("    def twice(x):\n        return plus(x, x)"),
        True,
    ),
    "lines that end as in Windows": (fenced(RIGHT).replace("\n", "\r\n"), True),
    "tildes": (fenced(RIGHT).replace("`", "~"), True),
    "a long string": (
        "1. So:\n" + indented(fenced('TEXT = """\nno margin\n"""\n' + RIGHT), "   "),
        True,
    ),
    "a session as usage": (fenced(RIGHT) + fenced(">>> twice(3)\n6"), True),
    "a session in the block": (fenced(f"{RIGHT}\n\n>>> twice(3)\n6"), True),
    "usage first": (fenced("print(twice(3))") + fenced(RIGHT), True),
    "usage by import": (
        fenced(RIGHT) + fenced("from my_module import twice\nprint(twice(3))"),
        True,
    ),
    "usage that asks": (fenced(RIGHT) + fenced("print(twice(int(input())))"), True),
    "usage that exits": (fenced(RIGHT) + fenced("import sys\nsys.exit(twice(0))"), True),
    "usage in a shell": (fenced(RIGHT) + fenced("$ python twice.py 3"), True),
    "usage with a wrong claim": (fenced(RIGHT) + fenced("assert twice(3) == 7"), True),
    "usage of a wrong program": (fenced(WRONG) + fenced("print(twice(3))"), False),
    "no language, and usage": (fenced(RIGHT, "") + fenced("y = twice(3)\nprint(y)"), True),
    "code in a line": (f"```twice``` is wanted.\n{fenced(RIGHT)}", True),
    "braces around the language": (fenced(RIGHT, "{.python}") + fenced("no", "text"), True),
    "draft, correction": (fenced(WRONG) + "That is wrong.\n" + fenced(RIGHT), True),
    "draft that does not parse": (fenced("def twice(x:\n    return 2x") + fenced(RIGHT), True),
    "draft that raises": (fenced("def twice(x): pass\nprint(twise(3))") + fenced(RIGHT), True),
    "draft, wrong correction": (fenced(RIGHT) + fenced(WRONG), False),
    "draft, correction that does not parse": (fenced(RIGHT) + fenced("def twice(x:\n    x"), False),
    "draft, correction that raises": (fenced(RIGHT) + fenced(f"1 / 0\n{RIGHT}"), False),
    "alternative with a package": (fenced(RIGHT) + fenced(f"{WRONG}\nimport numpy9"), True),
    "wrong, alternative with a package": (fenced(WRONG) + fenced(f"import numpy9\n{RIGHT}"), False),
    "signature behind": (fenced(RIGHT) + fenced("def twice(x: int) -> int:"), True),
    "signature on two lines": (fenced(RIGHT) + fenced("def twice(\n    x: int\n) -> int:"), True),
    "signature with dots": (fenced(RIGHT) + fenced("def twice(x: int) -> int: ..."), True),
    "signature of a method": (
        fenced(f"class A:\n{indented(RIGHT.replace('(x', '(self, x'), '    ')}\ntwice = A().twice")
        + fenced("class A:\n    def twice(self, x: int) -> int:"),
        True,
    ),
    "template with a comment": (
        fenced(RIGHT) + fenced("def twice(x):\n    # your code here"),
        True,
    ),
    "template with documentation": (
        fenced(RIGHT) + fenced('def twice(x):\n    """Double."""'),
        True,
    ),
    "template alone": (fenced("def twice(x):\n    # your code here"), False),
    "a built-in name as variable": (fenced(RIGHT + "\nabs = 3\nlist = [1]"), True),
    "prose around it": (f"Here is it:\n\n{RIGHT}\n\nIt doubles. It's short (of course", True),
    "prose around it, wrong": (f"Here is it:\n\n{WRONG}\n\nIt doubles.", False),
    "prose before it": (f"The solution:\n{RIGHT}", True),
    "a word behind it": (f"{RIGHT}\n\nDone", True),
    "prose between": (
        "First:\n\nimport math\nN = 2\n\ndef plus(x):\n    return math.floor(N * x)\n\n"
        "from this we have:\n\ndef twice(x):\n    return plus(x)\n\nThat's it.",
        True,
    ),
    "prose, draft, correction": (f"A try:\n{WRONG}\n\nNo. Better:\n\n{RIGHT}\nDone.", True),
    "prose, a block that breaks off": (f"So:\n{RIGHT} * (\n\nThat is it.", False),
    "prose and output": (f"The code:\n\n{RIGHT}\n\nIt prints:\n```\n6\n```", True),
    "a block by indentation": ("So:\n\n" + indented(RIGHT, "    ") + "\n\nDone.", True),
    "a block by indentation, two parts": (
        "So:\n\n    import math\n\n"
        + indented("def twice(x):\n    return math.floor(2 * x)", "    ")
        + "\n\nDone.",
        True,
    ),
    "a session": (fenced(SESSION, "pycon"), True),
    "a session, wrong": (fenced(SESSION.replace("2 * x", "x"), "pycon"), False),
    "a session as Python": (fenced(SESSION), True),
    "a session in prose": (f"I tried:\n\n{SESSION}\n\nIt works.", True),
    "from __future__ twice": (
        fenced(f"from __future__ import annotations\n{RIGHT}")
        + fenced("from __future__ import annotations\nN: Unknown = 1"),
        True,
    ),
    "from __future__ in the second": (
        fenced(RIGHT) + fenced("from __future__ import annotations\ndef f(x: Unknown): ..."),
        True,
    ),
    "much output": (f"{RIGHT}\nfor i in range(10**4): print('x' * 100)", True),
    "much output of the function": (
        "def twice(x):\n    import sys\n    print('x' * 10**6, file=sys.stderr)\n    return 2 * x",
        True,
    ),
    "much output, wrong": (f"{WRONG}\nprint('x' * 10**6)", False),
    "a closed output": (f"import sys\nsys.stdout = None\n{RIGHT}", True),
    "a program that raises": (fenced(f"{RIGHT}\n1 / 0"), False),
    "a program that exits": (fenced(f"{RIGHT}\nraise SystemExit"), False),
}


@needs_sandbox
@pytest.mark.parametrize("name", TEXTS)
def test_what_counts_of_a_text_is_whether_the_tests_pass(name: str) -> None:
    text, right = TEXTS[name]
    problem = Problem(id="d", problem="Double.", tests=FORMS["statements"])
    steps = text.split("\n\n")  # where they begin does not matter
    assert grade(CodeVerifier(SMALL), problem, steps).correct is right


@needs_sandbox
def test_tests_that_need_pytest_are_refused_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genprm.verifiers.code._has_pytest", lambda: False)
    assert doubles(FORMS["functions"], RIGHT)
    with pytest.raises(ConfigError, match="problem 'd': its tests need pytest"):
        doubles([*FORMS["pytest"], "# unlike those proven before"], RIGHT)


@needs_sandbox
def test_packages_are_lent_one_by_one() -> None:
    seen = (
        "import importlib.util as u\nprint([bool(u.find_spec(n)) for n in ('pluggy', 'pydantic')])"
    )
    assert run_python(seen).output == "[False, False]\n"
    assert run_python(seen, packages=["pytest"]).output == "[True, False]\n"


@needs_sandbox
def test_the_network_is_out_of_reach() -> None:
    run = run_python(
        "import socket\ntry: socket.create_connection(('127.0.0.1', 22), 1)\n"
        "except OSError as e: print('no:', e)\n"
        "try: socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError as e: print('no:', e)",
        SMALL,
    )
    assert run.output.count("no:") == 2


@needs_sandbox
def test_nothing_outside_the_scratch_folder_is_written_or_seen(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    run = run_python(
        f"""
import os
for path in ("/etc/x", "/usr/x", "/x", {str(tmp_path)!r} + "/y", "/proc/sys/kernel/hostname"):
    try: open(path, "w").write("x"); print("WROTE", path)
    except OSError: pass
print(os.path.exists({str(secret)!r}), os.environ.get("SECRET"), os.path.exists("/etc/passwd"))
open("mine", "w").write("fine"); print(open("/scratch/mine").read(), os.getcwd())
print(os.getuid() != 0 and os.geteuid() != 0)
try: os.setuid(0); print("ROOT")
except OSError: print("stays")
""",
        SMALL,
    )
    assert run.output.split() == [
        *("False", "None", "False"),
        *("fine", "/scratch", "True", "stays"),
    ]
    assert list(tmp_path.iterdir()) == [secret]


@pytest.mark.slow
@needs_sandbox
def test_time_memory_processes_output_and_space_are_bounded() -> None:
    assert run_python("while True: pass", Limits(seconds=1)).ended == "time"
    assert run_python("import time; time.sleep(3600)", Limits(seconds=1)).ended == "time"
    closes = "import os, time; os.close(1); os.close(2); time.sleep(3600)"
    assert run_python(closes, Limits(seconds=1)).ended == "time"
    assert "MemoryError" in run_python("x = bytearray(10**9)", SMALL).output
    assert run_python("while True: print('x' * 100)", SMALL).ended == "output"
    big = run_python("open('big', 'wb').write(b'x' * (8 << 20))", SMALL)
    assert big.returncode != 0
    fork = run_python(
        "import os, time\nn = 0\ntry:\n  while n < 100:\n    if os.fork() == 0: time.sleep(30)\n"
        "    n += 1\nexcept OSError: print('stopped at', n < 8)",
        SMALL,
    )
    assert "stopped at True" in fork.output


@needs_sandbox
def test_what_a_program_started_ends_with_it() -> None:
    marker = "sandbox-straggler-29831"
    run_python(
        "import os, sys, time\n"
        f"if os.fork() == 0:\n  os.setsid(); sys.argv = ['{marker}']\n"
        f"  os.execv(sys.executable, ['{marker}', '-c', 'import time; time.sleep(60)'])\n"
        "time.sleep(0.5)",
        SMALL,
    )
    time.sleep(0.5)
    listed = subprocess.run(["ps", "ax"], capture_output=True, text=True, check=False).stdout
    assert marker not in listed


def test_without_a_sandbox_it_refuses_unless_its_variable_says_yes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox_module, "sandbox_program", lambda: None)
    monkeypatch.delenv(UNSAFE, raising=False)
    with pytest.raises(ConfigError, match="needs bubblewrap"):
        run_python("print(1)")
    monkeypatch.setenv(UNSAFE, "1")  # not those words
    with pytest.raises(ConfigError, match="needs bubblewrap"):
        run_python("print(1)")
    monkeypatch.setenv(UNSAFE, "yes")
    assert run_python("print(1)").output == "1\n"


@needs_sandbox
def test_programs_run_side_by_side_from_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    programs = [f"print({n} * 2)" for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        outputs = [run.output for run in pool.map(run_python, programs)]
    assert outputs == [f"{n * 2}\n" for n in range(8)]
