"""The command line: parse, build the config, run one function, print its table.

Exit status 0 done, 2 bad input or config (one line on stderr), 1 failed (one line; the traceback
with --debug or GENPRM_DEBUG=1), 130 interrupted. What a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cluster.commands.options import parser
from genprm.config.load import load_config
from genprm.config.root import Config
from genprm.errors import ConfigError, InputError, one_line
from genprm.models.names import resolve_model

if TYPE_CHECKING:
    from cluster.stages.run import Report

DEBUG_ENV = "GENPRM_DEBUG"
OWN_CONFIG = {"quickstart": "quickstart"}  # where a command without --config has one of its own


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's) and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--debug" in arguments:
        os.environ[DEBUG_ENV] = "1"
    debug = bool(os.environ.get(DEBUG_ENV))
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("genprm: interrupted; the same command goes on where it was", file=sys.stderr)
        return 130
    except (InputError, ConfigError) as error:
        return _fail(error, 2, debug)
    except Exception as error:  # the last line of defence: one line instead of a traceback
        return _fail(error, 1, debug)


def _run(arguments: list[str]) -> int:
    args, rest = parser(dry_run="--dry-run" in arguments).parse_known_args(arguments)
    if args.command is None:
        parser().print_help()
        return 0
    if args.command == "submit":
        from cluster.jobs import submit

        return submit(args, rest)
    if rest:
        raise ConfigError(f"unknown argument {rest[0]} (see genprm {args.command} --help)")
    config = resolve_config(args)
    if args.dry_run:
        from genprm.config.show import config_yaml

        print(config_yaml(config), end="")
        return 0
    COMMANDS[args.command](config, args)
    return 0


def resolve_config(args: argparse.Namespace) -> Config:
    """The config of a parsed command line: the file, then --set, then the options of their own."""
    named = {
        "runtime.address": args.address,
        "label.audit": getattr(args, "audit", None),
        "train.kind": getattr(args, "kind", None),
        "serve.host": getattr(args, "host", None),
        "serve.port": getattr(args, "port", None),
    }
    chosen = [f"{key}={value}" for key, value in named.items() if value is not None]
    config = load_config(args.config or OWN_CONFIG.get(args.command), [*args.set, *chosen])
    return config.with_pack_sampling()


def _solve(config: Config, args: argparse.Namespace) -> None:
    from cluster import pipelines

    _show(pipelines.solve(config, args.input, args.out))


def _label(config: Config, args: argparse.Namespace) -> None:
    from cluster import pipelines
    from genprm.report.tables import format_table

    if args.estimate is None:
        _show(pipelines.label(config, args.input, args.out))
        return
    from cluster.stages.estimate import price_of_labels

    price = price_of_labels(config, args.input, args.out, args.estimate)
    print(format_table(price.table()))
    print(price.told())


def _distill(config: Config, args: argparse.Namespace) -> None:
    from cluster import pipelines

    _show(pipelines.distill(config, args.input, args.out))


def _score(config: Config, args: argparse.Namespace) -> None:
    from cluster import pipelines

    _show(pipelines.score(config, args.input, args.out))


def _eval(config: Config, args: argparse.Namespace) -> None:
    from cluster.stages.evaluate import evaluate
    from genprm.report.tables import format_table

    found = evaluate(config, args.input, args.out)
    _show(found.judging)
    print(f"\n{format_table(found.table)}\n\nreport: {args.out}/report.html")


def _calibrate(config: Config, args: argparse.Namespace) -> None:
    from cluster.stages.calibrate import calibrate
    from genprm.report.tables import format_table

    found = calibrate(config, args.input, args.out)
    _show(found.judging)
    print(f"\n{format_table(found.table())}\nwrote {found.path}")
    if found.found_by_scoring:
        print("and into the critic's directory, where scoring finds it")
    else:
        print(f"scoring takes it with --set score.calibration={found.path}")


def _train(config: Config, args: argparse.Namespace) -> None:
    from cluster.training.driver import train
    from genprm.report.tables import TableRow, format_table

    result = train(config, args.input, args.out)
    row: TableRow = {
        "stage": "train",
        "rows": result.rows,
        "dropped": result.dropped,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "tokens/s": result.tokens / result.seconds if result.seconds else None,
        "loss": f"{result.metrics['loss']:.3f}" if "loss" in result.metrics else None,
    }
    print(f"{format_table([row])}\nwrote {result.path}")


def _convert(config: Config, args: argparse.Namespace) -> None:
    from cluster.commands.convert import convert

    written, left = convert(args.input, args.to, args.out)
    print(f"wrote {written} rows to {args.out}; {left} solutions have no labels to write")


def _merge(config: Config, args: argparse.Namespace) -> None:
    from cluster.commands.merge import merge_files

    counts = merge_files(args.input, args.others, args.out, keep=args.keep)
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    print(f"wrote {args.out}")


def _serve(config: Config, args: argparse.Namespace) -> None:
    from cluster import service

    service.run(config, blocking=True)


def _quickstart(config: Config, args: argparse.Namespace) -> None:
    from cluster.quickstart import path as quickstart

    sizes = quickstart.FULL if args.full else quickstart.QUICK
    print(f"report: {quickstart.run(config, args.out, sizes=sizes)}")


def _pretrain(config: Config, args: argparse.Namespace) -> None:
    from genprm.pretraining.train import PretrainConfig, pretrain

    chosen = {"seed": config.seed, "tokens": args.tokens}
    chosen["comparisons_first"] = args.comparisons_first
    chosen = {name: value for name, value in chosen.items() if value is not None}
    init = args.init and resolve_model(args.init)
    recipe = PretrainConfig.going_on(init, **chosen) if init else PretrainConfig(**chosen)
    pretrain(args.out, recipe, config.pack)
    print(f"wrote {args.out}")


COMMANDS: dict[str, Callable[[Config, argparse.Namespace], None]] = {
    "quickstart": _quickstart,
    "solve": _solve,
    "label": _label,
    "distill": _distill,
    "train": _train,
    "score": _score,
    "eval": _eval,
    "calibrate": _calibrate,
    "serve": _serve,
    "convert": _convert,
    "merge": _merge,
    "pretrain": _pretrain,
}


def _show(report: Report) -> None:
    """The result table of a stage."""
    from genprm.report.tables import format_table

    if report.already_done:
        print(f"{report.out} is already done; nothing to do", file=sys.stderr)
    rate = report.completion_tokens / report.seconds if report.seconds else None
    row: dict[str, Any] = {
        "stage": report.stage,
        "rows in": report.rows_in,
        "rows out": report.rows_out,
        "failed": report.failed,
        "completions": report.completions,
        "tokens": report.completion_tokens,
        "seconds": report.seconds,
        "tokens/s": rate,
    }
    print(format_table([row]))
    for detail, value in report.details.items():
        print(f"{detail}: {_told(value)}")
    if report.resent:
        print(f"requests sent again: {report.resent}")
    for reason, count in report.errors.items():
        print(f"failed {count}: {reason}")
    print(f"wrote {report.out}")


def _told(value: Any) -> str:
    """A count, or counts by name, as people read them."""
    from genprm.report.tables import cell_text

    if not isinstance(value, dict):
        return cell_text(value)
    parts = []
    for name, inner in value.items():
        told = f"({_told(inner)})" if isinstance(inner, dict) else _told(inner)
        parts.append(f"{name.replace('_', ' ')} {told}")
    return ", ".join(parts)


def _fail(error: Exception, status: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    print(f"genprm: error: {one_line(error)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
