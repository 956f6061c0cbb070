"""`genprm label` on a three-node Ray cluster that loses a node: is every row in the output?

    python benchmarks/lose_node.py --out DIR [--n 300]

Three raylets on this machine, one scripted engine on each. When a third of the rollouts is done, a
node that has done some of them is killed, with everything on it. Writes DIR/result.json; exit
status 1 if the job fails or a row is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from genprm.data.rows import read_rows, write_jsonl
from genprm.generation import Prompt, Sampling
from genprm.report.terminal import print_table

NODES, CPUS = 3, 3  # per node: an engine, and room for what feeds it
SECONDS_PER_ROLLOUT = 0.05
ROLLOUTS, STEPS = 4, 4
NODES_FILE = "GENPRM_NODES"  # environment: gets the node's id per rollout


def rollout(prompt: Prompt, sampling: Sampling, index: int) -> str:
    """A scripted policy that records the node on which it ran."""
    import ray

    time.sleep(SECONDS_PER_ROLLOUT)
    with open(os.environ[NODES_FILE], "a") as file:
        file.write(ray.get_runtime_context().get_node_id() + "\n")
    return f"So the answer is {random.Random(sampling.seed + index).choice((7, 8))}"


def main() -> None:
    """Start three nodes and a job, kill one of them, count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=300, help="solutions")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    source, out, ran = (args.out / name for name in ("in.jsonl", "labels.jsonl", "nodes.txt"))
    steps = [f"Step {number}." for number in range(1, STEPS)] + ["So the answer is 8"]
    columns = {"problem": "Count", "answer": "7", "steps": steps}
    write_jsonl(source, ({"id": f"s{i}", **columns} for i in range(args.n)))
    ran.write_text("")
    os.environ[NODES_FILE] = str(ran.absolute())
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    os.environ["RAY_AUTH_MODE"] = "disabled"

    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CPUS})
    workers = [cluster.add_node(num_cpus=CPUS) for _ in range(NODES - 1)]
    cluster.wait_for_nodes()
    begun = time.monotonic()
    job = subprocess.Popen(_command(cluster.address, source, out))
    lost, rollouts = None, args.n * (STEPS - 1) * ROLLOUTS
    while job.poll() is None:
        where = Counter(ran.read_text().split())
        if lost is None and where.total() > rollouts / 3:
            lost = max(workers, key=lambda node: where[node.node_id])
            at_loss = time.monotonic() - begun, where[lost.node_id], where.total()
            cluster.remove_node(lost, allow_graceful=False)
        time.sleep(0.2)
    seconds = time.monotonic() - begun
    cluster.shutdown()
    if job.returncode or lost is None:
        sys.exit(f"the job ended with status {job.returncode}; a node was lost: {lost is not None}")
    ids = [row["id"] for row in read_rows(out) if row["error"] is None]
    result = {
        "rows": args.n,
        "rows found": len(ids),
        "lost at second": at_loss[0],
        "rollouts by then": at_loss[2],
        "of them on the lost node": at_loss[1],
        "repeated work": len(ran.read_text().split()) / rollouts - 1,
        "seconds": seconds,
    }
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print_table([result])
    if ids != [f"s{i}" for i in range(args.n)]:
        sys.exit("rows are missing")


def _command(address: str, source: Path, out: Path) -> list[str]:
    settings = ["engine.kind=scripted", "engine.extra.script=lose_node:rollout"]
    settings += ["models.policy=scripted", f"label.rollouts={ROLLOUTS}"]
    settings += ["runtime.rows_per_block=4", f"runtime.engine_replicas={NODES}"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "cluster.cli", "label", *options, "--address", address]
    return [*command, "--solutions", str(source), "--out", str(out)]


if __name__ == "__main__":
    main()
