"""Two sets of labels become one: where they agree, where they differ, and the reason given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.cli import main
from genprm.errors import InputError
from genprm.labeling.consensus import combine
from genprm.labeling.labels import is_decided, labels_from_flags
from genprm.records import LabelledSolution

STEPS = 4
flag_lists = st.lists(st.sampled_from([True, True, False, None]), min_size=STEPS, max_size=STEPS)


def labelled(flags: list[bool | None], estimator: str = "human", **columns: Any) -> Any:
    labels, first_error = labels_from_flags(flags, partial=True)
    row = {
        "id": f"of-{estimator}",
        "problem": "2 + 2 * 3 =",
        "answer": "8",
        "steps": [f"step {n}" for n in range(len(flags))],
        "values": [None] * len(flags),
        "wins": [0] * len(flags),
        "rollouts": [0] * len(flags),
        "labels": labels,
        "first_error": first_error,
        "estimator": estimator,
    }
    return LabelledSolution.model_validate(row | columns)


def rolled_out(flags: list[bool | None]) -> Any:
    counts = {
        "wins": [3] * len(flags),
        "rollouts": [8] * len(flags),
        "values": [0.375] * len(flags),
    }
    return labelled(flags, "adaptive", intervals=[[0.1, 0.7]] * len(flags), **counts)


@given(flag_lists, flag_lists)
def test_a_label_is_kept_where_both_give_it(
    one: list[bool | None], other: list[bool | None]
) -> None:
    a, b = labelled(one), rolled_out(other)
    solution, verdict = combine(a, b)
    for step, label in enumerate(solution.labels):
        assert label is None or label is a.labels[step] is b.labels[step]
    same = a.first_error == b.first_error and is_decided(a.labels) and is_decided(b.labels)
    assert (verdict == "agreement") == same == is_decided(solution.labels)
    if same:
        assert (solution.labels, solution.first_error) == (a.labels, a.first_error)
    else:
        assert solution.first_error == -1
    assert [m["first_error"] for m in solution.row()["merged"]] == [a.first_error, b.first_error]
    assert combine(b, a).verdict == verdict and combine(b, a).solution.labels == solution.labels


def test_values_come_from_the_rollouts_and_the_id_from_the_first() -> None:
    human = labelled([True, False], answer=None, ratings=[1, -1])
    for first, second in ((human, rolled_out([True, False])), (rolled_out([True, False]), human)):
        row = combine(first, second).solution.row()
        assert row["id"] == first.id and row["answer"] == "8" and row["ratings"] == [1, -1]
        assert row["values"] == [0.375] * 2 and row["intervals"] == [[0.1, 0.7]] * 2
        assert row["estimator"] == "human+adaptive" and row["unlabelled_reason"] is None


def test_values_without_rollouts_are_values_and_label_columns_do_not_mix() -> None:
    imported = labelled([True, False], "trl").model_copy(update={"values": [0.5, 0.0]})
    for pair in ((imported, labelled([True, False])), (labelled([True, False]), imported)):
        assert combine(*pair).solution.values == [0.5, 0.0]
    adaptive = rolled_out([True, False]).model_copy(update={"posterior": [0.1, 0.9, 0.0]})
    flat = labelled([True, False], "flat_hard", values=[0.25, 0.0], rollouts=[4, 4], wins=[1, 0])
    row = combine(flat, adaptive).solution.row()
    assert row["values"] == [0.25, 0.0] and not {"posterior", "intervals"} & row.keys()
    assert row["estimator"] == "adaptive+flat_hard"


def test_a_disagreement_names_both_first_errors() -> None:
    solution, verdict = combine(labelled([True, True, False]), rolled_out([True, False, None]))
    assert verdict == "disagreement" and solution.labels == [True, None, None]
    reason = "disagreement: human says first error 2, adaptive says first error 1"
    assert solution.row()["unlabelled_reason"] == reason
    undecided = combine(labelled([True, None]), rolled_out([True, True]))
    assert undecided.verdict == "undecided" and undecided.solution.labels == [True, None]


def test_different_solutions_are_not_merged() -> None:
    with pytest.raises(InputError, match="are different solutions"):
        combine(labelled([True]), labelled([True, True]))


def test_the_command_drops_or_keeps_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(name: str, rows: list[LabelledSolution]) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row.row()) + "\n" for row in rows))
        return str(path)

    def row(problem: str, flags: list[bool | None], make: Any = labelled) -> LabelledSolution:
        return make(flags).model_copy(
            update={"problem": problem, "id": f"{make.__name__}-{problem}"}
        )

    human = write("human.jsonl", [row("a", [True]), row("b", [False]), row("c", [True])])
    rolled = [row("b", [True], rolled_out), row("a", [True], rolled_out)]
    rolled += [row("d", [True], rolled_out)]
    command = ["merge", "--labels", human, "--with", write("rolled.jsonl", rolled), "--out"]
    out = tmp_path / "both.jsonl"
    assert main([*command, str(out)]) == 0
    assert "agreement 1, disagreement 1, undecided 0, alone 2, failed 0" in capsys.readouterr().out
    (kept,) = map(json.loads, out.read_text().splitlines())
    assert kept["problem"] == "a" and kept["rollouts"] == [8]
    assert main([*command, str(out)]) == 2
    assert "exists: choose another --out" in capsys.readouterr().err
    twice = write("twice.jsonl", [row("a", [False]).model_copy(update={"id": "a2"}), rolled[1]])
    args = ["merge", "--labels", human, "--with", twice, "--out", str(tmp_path / "first.jsonl")]
    assert main(args) == 0  # copies are taken one by one, and none vanishes
    counts = "agreement 0, disagreement 1, undecided 0, alone 3, failed 0"
    assert counts in capsys.readouterr().out
    none = write("none.jsonl", [row("z", [True])])
    args = ["merge", "--labels", human, "--with", none, "--out", str(tmp_path / "none2.jsonl")]
    assert main(args) == 2 and "no solution in both" in capsys.readouterr().err
    assert not (tmp_path / "none2.jsonl").exists()
    short = json.loads(Path(human).read_text().splitlines()[0]) | {"labels": []}
    (tmp_path / "short.jsonl").write_text(json.dumps(short))
    args = ["merge", "--labels", str(tmp_path / "short.jsonl"), "--with", none, "--out", "x.jsonl"]
    assert main(args) == 2
    assert "short.jsonl:1: 1 steps but 0 entries in 'labels'" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "all.jsonl"), "--keep"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [(r["problem"], r["labels"]) for r in rows] == [("a", [True]), ("b", [None])]
