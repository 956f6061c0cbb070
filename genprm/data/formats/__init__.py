"""Step-labelled data of other projects, read as labelled solutions and written back.

One module per format, pure functions from row to row, by name in FORMATS. A row that does not fit
its format is an InputError that says what is missing. Labels after the first error are null, as
everywhere; the source's own labels stay in the column `source_labels`, so that writing the row in
its own format gives it back.
"""

from genprm.data.formats.base import FORMATS, Format

__all__ = ["FORMATS", "Format"]
