"""`genprm quickstart`: the whole path on the embedded base, from problems to a report.

`path` runs the parts in their order; `report` puts together what they measured.
"""
