"""Step-labelled data of others: read as labelled solutions, and written where people expect theirs.

One module per format, pure functions from row to row, by name in FORMATS. A row that is none of
the format is an InputError that says what is missing. Labels after the first error follow the one
convention of `genprm.records` (null); what a source said there stays in the column
`source_labels`, so that writing the row in its own format gives it back.
"""

from genprm.data.formats.base import FORMATS, Format

__all__ = ["FORMATS", "Format"]
