"""The tools of a critique: exact arithmetic, and Python that cannot hurt."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.scoring.tools import MAX_OUTPUT_CHARS, PythonSession, calculate
from genprm.verifiers.sandbox import sandbox_program


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3 * (4 + 2)", "18"),
        ("0.1 + 0.2", "0.3"),
        ("1/3", "1/3"),
        ("-7 // 2", "-4"),
        ("2^10", "1024"),
        ("2**-2", "0.25"),
        ("-1/8", "-0.125"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("1 / (2 - 2)", "(division by zero)"),
        ("9**9**9", "(too large)"),
        ("10**60 * 10**60 * 10**60 * 10**60", "(too large)"),
        ("1e999", "(too large)"),
        ("2 ** 0.5", "(not an expression)"),
        ("__import__('os')", "(not an expression)"),
        ("x + 1", "(not an expression)"),
        ("True + 1", "(not an expression)"),
        ("1 +", "(not an expression)"),
        ("", "(not an expression)"),
        ("\x00", "(not an expression)"),
        ("1+" * 200 + "1", "(too long)"),
    ],
)
def test_calculator(expression: str, value: str) -> None:
    assert calculate(expression) == value


@given(st.text(max_size=60))
def test_any_text_gets_an_answer_in_one_line(text: str) -> None:
    assert "\n" not in calculate(text)


@given(st.integers(-999, 999), st.integers(-999, 999), st.sampled_from("+-*"))
def test_calculator_agrees_with_python(a: int, b: int, sign: str) -> None:
    expected = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert Fraction(calculate(f"({a}) {sign} ({b})")) == expected


sandboxed = pytest.mark.skipif(sandbox_program() is None, reason="no working bubblewrap")


@sandboxed
def test_blocks_share_their_names_and_only_the_last_one_is_heard() -> None:
    python = PythonSession()
    first = python.run("import sys\nx = 3\nprint('first')\nprint('loud', file=sys.stderr)")
    assert sorted(first.split()) == ["first", "loud"]
    assert python.run("print(x + 1)") == "4"
    assert "ZeroDivisionError" in python.run("y = 1\n1 / 0")
    assert python.run("sys.exit(1)") == ""
    assert python.run("print(x + y)") == "4"


@sandboxed
def test_a_block_that_does_not_end_stops_no_later_one() -> None:
    python = PythonSession()
    assert "(stopped after 5 s)" in python.run("while True: pass")
    assert python.run("print('goes on')") == "goes on"


@sandboxed
@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = (", "SyntaxError"),
        ("import socket; socket.create_connection(('1.1.1.1', 80))", "OSError"),
        ("open('/etc/passwd', 'w')", "Error"),
        ("", ""),
    ],
)
def test_failures_are_reported(program: str, message: str) -> None:
    assert message in PythonSession().run(program)


@sandboxed
def test_long_outputs_are_cut() -> None:
    assert len(PythonSession().run("print('x' * 5000)")) == MAX_OUTPUT_CHARS + len("\n(cut)")
    assert PythonSession().run("while True: print('x' * 1000)").endswith("(cut)")


@sandboxed
def test_a_failure_can_take_the_place_of_what_was_printed() -> None:
    python = PythonSession()
    program = "print('first')\n1 / 0"
    assert python.run(program) == "first\nZeroDivisionError: division by zero"
    error = python.run(program, failed="Failed: {error}!")
    assert error == "Failed: ZeroDivisionError: division by zero!"
    assert python.run("print('fine')", failed="Failed: {error}", late="late") == "fine"
    assert python.run("while True: pass", late="Too late.") == "Too late."


@sandboxed
def test_a_copied_session_goes_on_by_itself() -> None:
    python = PythonSession()
    python.run("x = 1")
    other = python.copy()
    other.run("x = 2")
    assert (python.run("print(x)"), other.run("print(x)")) == ("1", "2")
