"""How much one request to the scoring service may hold: the service refuses more, clients cut.

Numbers only; both sides import them from here.
"""

from __future__ import annotations

MAX_BODY_BYTES = 4 * 1024 * 1024  # a problem with 512 long steps is well under 1 MiB
MAX_STEPS = 512  # of one solution
MAX_BATCH = 256  # solutions of one request
MAX_BATCH_STEPS = 4096  # of all of them together
