"""Rows in and out: files, sources of every kind, storage, and the formats of other projects."""
