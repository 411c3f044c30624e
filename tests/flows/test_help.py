"""What `--help` shows is what is written in the code: Rich takes words in brackets for markup."""

import re
from collections.abc import Iterator
from typing import Any

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from flows.cli.main import app
from pipeline.sources.foreign.formats import FORMATS


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands with the words that call them."""
    yield words, command
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*words, name))


def shown(*words: str) -> str:
    found = CliRunner().invoke(
        app, [*words, "--help"], env={"COLUMNS": "300", "TERMINAL_WIDTH": "300", "NO_COLOR": "1"}
    )
    assert found.exit_code == 0
    return click.unstyle(found.output)


@pytest.mark.parametrize("words", [words for words, _ in commands(get_command(app))], ids=" ".join)
def test_no_word_in_brackets_is_eaten(words: tuple[str, ...]) -> None:
    command = dict(commands(get_command(app)))[words]
    written = [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]
    brackets = re.findall(r"\\?(\[[\w.-]+\])", " ".join(written))
    page = shown(*words)
    assert not [word for word in brackets if word not in page]


def test_an_extra_is_named_with_its_brackets() -> None:
    assert "`pip install '.[hub]'`" in shown("label")


def test_all_formats_that_are_exported_are_named() -> None:
    page = shown("data", "export")
    assert not [one.name for one in FORMATS if one.name not in page]


def test_the_version_is_shown() -> None:
    found = CliRunner().invoke(app, ["--version"])
    assert re.fullmatch(r"nightshift \d+\.\d+\.\d+\n", found.output)
