"""Ask a running service over HTTP: one solution, one as it is judged, and many.

    genprm serve --port 8000
    python -m cluster.examples.http_client http://localhost:8000

Needs no Ray: `genprm.client` runs wherever the rewards are wanted.
"""

from __future__ import annotations

import os
import sys

from genprm.client.http import Client
from genprm.records import Judgement
from genprm.scoring.base import ScoreItem

PROBLEM = "((3 + 4 * 2) - (5 - 7)) ="
PLAN = 'This equation can be written as "A - B", where A = (3 + 4 * 2) and B = (5 - 7).'
FIRST = "Let's calculate A = (3 + 4 * 2) = (3 + 8) = 11."
RIGHT = [PLAN, FIRST, "Let's calculate B = (5 - 7) = -2."]
WRONG = [PLAN, FIRST, "Let's calculate B = (5 - 7) = 2."]


def main(url: str) -> None:
    """Three ways to ask."""
    # retries and their pauses are the client's matter; a deadline is the service's time to judge
    with Client(url, token=os.environ.get("GENPRM_TOKEN"), deadline_s=300) as client:
        judgement = client.score(PROBLEM, WRONG, votes=8, deadline_s=60)
        print(f"first error: {judgement.first_error}, score: {judgement.solution_score}")

        for event in client.stream(PROBLEM, WRONG, return_critiques=True):
            if not isinstance(event, Judgement):
                critique = event.critiques[0].text if event.critiques else event.reason
                print(f"step {event.index}: {event.verdict} ({event.score}): {critique}")

        items = [ScoreItem(PROBLEM, steps) for steps in (RIGHT, WRONG)]
        print("scores:", [each.solution_score for each in client.score_batch(items)])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000")
