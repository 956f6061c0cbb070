"""A Ray job that trains a critic and then serves it, on the same cluster.

    ray job submit -- python -m cluster.examples.train_and_deploy targets.jsonl /shared/critic

The service outlives the job. Where one of that name runs already, Serve changes its replicas over
one by one, and requests go on being answered.
"""

from __future__ import annotations

import argparse

from cluster import runtime, service
from cluster.training.driver import train
from genprm.config.load import load_config
from genprm.config.root import Config


def main(config: Config, targets: str, out: str) -> str:
    """Train, or find it trained, and serve; returns the address."""
    with runtime.session(config.runtime):
        result = train(config, targets, out)
        models = config.models.model_copy(update={"critic": result.path})
        url = service.deploy(config.model_copy(update={"models": models}))
        print(f"{result.rows} targets, {result.seconds:.0f} s of training; serving at {url}")
        return url


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", help="what `genprm distill` wrote")
    parser.add_argument("out", help="a folder that all nodes share")
    parser.add_argument("--config", help="as of `genprm train`")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    main(load_config(args.config, args.set), args.targets, args.out)
