"""What every test shares: hypothesis without deadlines, for machines that are busy, and commands
that can be interrupted."""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("genprm", deadline=None)
settings.load_profile("genprm")

# a shell starts what it puts in the background deaf to Ctrl-C, and children of that stay so
signal.signal(signal.SIGINT, signal.default_int_handler)
