"""What every test shares: hypothesis without deadlines, for machines that are busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("genprm", deadline=None)
settings.load_profile("genprm")
