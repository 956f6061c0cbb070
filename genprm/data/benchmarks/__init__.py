"""Published benchmarks of first errors, each row as its file has it, read as evaluation rows.

One module per benchmark, pure functions from row to row, by name in BENCHMARKS. A row is known by
its columns, so that the files need no other name. A row that contradicts itself is an InputError.
"""

from genprm.data.benchmarks.base import BENCHMARKS, as_evaluation_rows

__all__ = ["BENCHMARKS", "as_evaluation_rows"]
