"""What a critique may use on its way to a verdict: a calculator, and Python in the sandbox.

A tool gets what the critique wrote and returns text; whatever goes wrong inside it is text too,
for the critic to read. Knows no prompt and no engine.
"""

from __future__ import annotations

import ast
import operator
import secrets
from collections.abc import Callable, Sequence
from fractions import Fraction

from genprm.verifiers.sandbox import Limits, run_python

MAX_OUTPUT_CHARS = 1000
MAX_EXPRESSION_CHARS = 200
MAX_EXPONENT = 64
MAX_DIGITS = 200  # of any number on the way
PYTHON_LIMITS = Limits(seconds=5.0, output_bytes=16_384)

# Blocks share their names, as cells of a notebook do; only the output of the last one counts. What
# it printed and how it failed are told apart by a line that no program knows.
_REPLAY = """
def replay(run, build, sys, io, blocks, names):
    out, err = sys.stdout, sys.stderr
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        sys.stdout, sys.stderr = (out, err) if last else (io.StringIO(), io.StringIO())
        try:
            run(build(block, "block", "exec"), names)
        except SystemExit:
            pass
        except Exception as error:
            if last:
                sys.stdout.write({mark!r} + f"{{type(error).__name__}}: {{error}}\\n")
import io, sys
replay(exec, compile, sys, io, {blocks!r}, {{"__name__": "__main__"}})
"""

_BINARY: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod,
}


class PythonSession:
    """Blocks of Python that share their names. Each call runs the earlier blocks once more, in a
    sandbox of its own: what they draw at random may differ. A block that did not end is not run
    again.
    """

    def __init__(self, blocks: Sequence[str] = ()) -> None:
        self._blocks = list(blocks)

    def copy(self) -> PythonSession:
        """A session with the same blocks so far, which goes on by itself."""
        return PythonSession(self._blocks)

    def run(self, block: str, failed: str = "", late: str = "") -> str:
        """What the block prints, and how it failed. `failed` (with `{error}`) and `late` (for one
        that ran out of time) take the place of all that, where they are given.

        Raises:
            ConfigError: there is no sandbox.
            EngineError: the sandbox did not come up.
        """
        mark = secrets.token_hex(16)
        run = run_python(_REPLAY.format(blocks=[*self._blocks, block], mark=mark), PYTHON_LIMITS)
        output, raised, error = run.output.partition(mark)
        output, error = output.rstrip("\n"), error.rstrip("\n")
        if raised:
            output = failed.replace("{error}", error) if failed else f"{output}\n{error}"
        if run.ended == "time":
            output = late or f"{output}\n(stopped after {PYTHON_LIMITS.seconds:g} s)"
        elif run.ended == "output":
            output += "\n(stopped: too much output)"
        else:
            self._blocks.append(block)
        output = output.strip("\n")
        if len(output) <= MAX_OUTPUT_CHARS:
            return output
        return f"{output[:MAX_OUTPUT_CHARS]}\n(cut)"


def calculate(expression: str) -> str:
    """The value of an expression of numbers, brackets and + - * / // % **, exact: a decimal of at
    most twelve places, else a fraction. Where there is no value, the reason in brackets."""
    text = expression.strip().replace("×", "*").replace("÷", "/").replace("−", "-")
    if len(text) > MAX_EXPRESSION_CHARS:
        return "(too long)"
    try:
        tree = ast.parse(text.replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "(not an expression)"
    try:
        return _shown(_value(tree.body))
    except ZeroDivisionError:
        return "(division by zero)"
    except (ValueError, OverflowError):
        return "(too large)"
    except (TypeError, RecursionError):
        return "(not an expression)"


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(Fraction(str(number)))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base, exponent = _value(left), _value(right)
            if exponent.denominator != 1:
                raise TypeError
            if abs(exponent) > MAX_EXPONENT:
                raise ValueError
            return _bounded(base**exponent.numerator)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _bounded(_BINARY[type(op)](_value(left), _value(right)))
    raise TypeError


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) >= 10**MAX_DIGITS:
        raise ValueError
    return value


def _shown(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    for places in range(1, 13):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
    return f"{value.numerator}/{value.denominator}"
