"""Every document: commands parse, config keys exist, links lead somewhere, Python compiles."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Template

import pytest
import yaml
from pydantic import BaseModel

from cluster.commands.table import build_parser
from genprm.config.load import parse_config
from genprm.config.root import Config
from genprm.prompts.packs import PromptPack
from places import ROOT

FOLDERS = ("benchmarks", "cluster", "configs", "genprm", "prompts", "tests")
DOCUMENTS = [*ROOT.glob("*.md"), *(file for at in FOLDERS for file in (ROOT / at).rglob("*.md"))]
README_BYTES = 10_240  # of one sitting
PLACEHOLDERS = {"STAGE": "solve", "N": "1"}  # in a synopsis, where the parser wants a value
SECTIONS = [
    name
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
]
KEY = re.compile(rf"(?<![\w./-])((?:{'|'.join(SECTIONS)})(?:\.[a-z0-9_]+)+)(?![\w/.*-]*\()")
FILE_ENDINGS = (".jsonl", ".json", ".yaml", ".py", ".md", ".html")

documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT))
)


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language; "" for those without a name."""
    matches = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)
    return [text for name, text in matches if name == language]


def inline_code(document: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", prose)]


def commands(document: Path, program: str) -> Iterator[list[str]]:
    """The words after `program` in every command of the unnamed blocks, shell variables put in."""
    for block in blocks(document, ""):
        variables = dict(re.findall(r'^(\w+)="(.*)"$', block, re.MULTILINE))
        for line in block.replace("\\\n", " ").splitlines():
            match = re.match(rf"(?:.*\bdo )?(?:\S*/)?{program} (.+)", line)
            if match is None:
                continue
            text = Template(match[1]).safe_substitute(variables)
            words = shlex.split(text.split("; done")[0], comments=True)
            yield [PLACEHOLDERS.get(word, word) for word in words]


def subparsers() -> dict[str, argparse.ArgumentParser]:
    actions = build_parser()._actions
    return next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices


def check_key(key: str) -> None:
    model: type[BaseModel] | None = Config
    for part in key.split("."):
        assert model is not None and part in model.model_fields, f"no config key {key}"
        types = [model.model_fields[part].annotation]
        types += getattr(types[0], "__args__", ())  # of an optional section
        models = [t for t in types if isinstance(t, type) and issubclass(t, BaseModel)]
        model = models[0] if models else None


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= README_BYTES
    assert sum(len(list(commands(document, "genprm"))) for document in DOCUMENTS) > 20


@documents
def test_commands_parse(document: Path) -> None:
    for words in commands(document, "genprm"):
        args, rest = build_parser().parse_known_args(words)
        if args.command == "submit" and rest:
            build_parser().parse_args([args.stage, *rest])
        else:
            assert rest == []
        for setting in getattr(args, "set", []):
            check_key(setting.split("=")[0])


@documents
def test_commands_within_sentences_exist(document: Path) -> None:
    parsers = subparsers()
    for code in inline_code(document):
        if match := re.match(r"genprm ([a-z]\S*)(.*)", code):
            options = set(re.findall(r"--[a-z-]+", match[2]))
            allowed = {
                name for action in parsers[match[1]]._actions for name in action.option_strings
            }
            assert match[1] == "submit" or options <= allowed, code


@documents
def test_scripts_and_targets_exist_with_their_options(document: Path) -> None:
    for script, *words in commands(document, "python"):
        source = (ROOT / script).read_text()
        for word in words:
            assert not word.startswith("--") or f'"{word}"' in source, f"{script} {word}"
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {words[0] for words in commands(document, "make")} <= set(targets)


@documents
def test_config_keys_exist_and_yaml_is_valid(document: Path) -> None:
    for code in inline_code(document):
        for key in KEY.findall(code):
            if not key.endswith(FILE_ENDINGS):
                check_key(key)
    for block in blocks(document, "yaml"):
        fields = yaml.safe_load(block)
        if "unit" in fields:
            PromptPack.model_validate(fields)
        else:
            parse_config(fields)


@documents
def test_links_and_pictures_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@documents
def test_python_compiles_and_its_imports_exist(document: Path) -> None:
    for block in blocks(document, "python"):
        compile(block, str(document), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(
                ("genprm", "cluster")
            ):
                module = import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name), f"{node.module}.{name.name}"
