"""The list of commands, and the way into one: whatever goes wrong is one sentence and an exit status.

A command's module is imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

BAD_USAGE = 2


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command's function stands (its signature lists the arguments), and what `--help` says of it.

    In place of a function there may be a Typer app, with commands of its own.
    """

    module: str
    function: str
    help: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "demo": Command(
            "flashsale.cli.rehearsals",
            "demo",
            "Watch a rehearsed sale and its proof. Brings its own Kafka and its own Fluent.",
        ),
        "kafka": Command(
            "flashsale.cli.rehearsals",
            "kafka",
            "Run the embedded Kafka until Ctrl-C. Prints KAFKA_BOOTSTRAP_SERVERS=host:port when it is ready.",
        ),
        "fluent-simulator": Command(
            "flashsale.cli.rehearsals",
            "fluent_simulator",
            "Run the Fluent simulator until Ctrl-C. Prints FLUENT_BASE_URL=http://… when it is ready.",
        ),
        "topics": Command(
            "flashsale.cli.topics",
            "topics",
            "Create the topics that are missing, or check all. Those that exist are never changed.",
        ),
        "check": Command(
            "flashsale.cli.check",
            "check",
            "Try everything that a sale needs. One line each, with the remedy; changes nothing.",
        ),
        "worker": Command(
            "flashsale.cli.worker",
            "worker",
            "Run one worker until SIGTERM. It says `ready` on standard error when it takes orders in.",
        ),
        "status": Command(
            "flashsale.cli.status",
            "status",
            "Show how everything stands. Exits with 1 when something needs a person, and says what.",
        ),
        "publish": Command(
            "flashsale.cli.publish",
            "publish",
            "Send events from a file. Prints `published N` once the broker has all of them.",
        ),
        "tail": Command(
            "flashsale.cli.tail",
            "tail",
            "Look at the records of a topic. Prints `partition/offset key value` of what is committed.",
        ),
        "report": Command(
            "flashsale.cli.report",
            "report",
            "Show the newest report of a promotion. Exits with 1 when there is none.",
        ),
        "inspect": Command(
            "flashsale.cli.inspect",
            "inspect",
            "Tell what happened to a SKU or an order, step by step. Exits with 1 when nothing is known.",
        ),
        "dead-letters": Command(
            "flashsale.cli.dead_letters",
            "app",
            "List what was turned away, show one, or send it once more.",
        ),
        "reconcile": Command(
            "flashsale.cli.reconcile",
            "reconcile",
            "Compare a promotion's holds in Fluent with the ledger. Exits with 1 when they differ.",
        ),
        "bridge": Command("flashsale.cli.bridge", "bridge", "Run the HTTP bridge until SIGTERM."),
        "sign": Command(
            "flashsale.cli.sign",
            "sign",
            "Print a curl command for the HTTP bridge, or a link to a sale's page, signed with a secret "
            "from BRIDGE_SECRETS.",
        ),
    }
)
"""In the order in which `--help` lists them."""

_SETTINGS = {"help_option_names": ["-h", "--help"]}


def _typer(**options: Any) -> typer.Typer:
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, **options)


def _loaded(name: str, command: Command) -> Any:
    """What Typer makes of a command's function, or of an app of commands."""
    function = getattr(import_module(command.module), command.function)
    if isinstance(function, typer.Typer):
        return typer.main.get_command(function)
    alone = _typer(add_completion=False)
    alone.command(name, help=command.help, context_settings=_SETTINGS)(function)
    return typer.main.get_command(alone)


class Commands(TyperGroup):
    """The commands of the table above, each loaded when it is asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name with its arguments, None where there is none."""
        if cmd_name in COMMANDS and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _loaded(cmd_name, COMMANDS[cmd_name])
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in `--help`: every line whole, and no command loaded for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])


app = _typer(
    name="flashsale",
    help="Reserves flash-sale stock in Fluent Commerce, one order at a time, on Kafka.",
    cls=Commands,
    context_settings=_SETTINGS,
)


def _versions(wanted: bool) -> None:
    if wanted:
        own, clients = version("flash-sale-reservations"), ("confluent-kafka", "aiokafka", "faust-streaming")
        others = ", ".join(f"{name} {version(name)}" for name in clients)
        sys.stdout.write(f"flashsale {own} ({others})\n")
        raise typer.Exit


@app.callback()
def _flashsale(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_versions, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options of `flashsale` itself."""


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status. Raises KeyboardInterrupt."""
    try:
        status = app(arguments or ["--help"], prog_name="flashsale", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except typer.TyperException as error:
        wrong = _one_line(error.format_message())
        end = "" if wrong.endswith((".", "?")) else "."
        return _said(f"{wrong}{end} See `{_path(error)} --help`.", BAD_USAGE)
    except BrokenPipeError:
        return _reader_left()
    except UnicodeEncodeError:
        if all(map(_is_text, arguments)):
            raise
        return _said("An argument is not valid UTF-8, so no reference of ours can be meant.", BAD_USAGE)
    except Exception as error:
        return _failed(error)


def _is_text(argument: str) -> bool:
    """Whether it is valid UTF-8, as references are; a file's name need not be."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(error: typer.TyperException) -> str:
    """The command whose help explains a wrong argument, such as `flashsale report`."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "flashsale"


def _failed(error: Exception) -> int:
    """A sentence for what is nobody's bug; everything else keeps its trace."""
    from confluent_kafka import KafkaException

    from streams.settings import ConfigurationError

    if isinstance(error, ConfigurationError):
        return _said(str(error), BAD_USAGE)
    if isinstance(error, KafkaException):
        return _said(f"Kafka refused: {_one_line(error.args[0].str())}.", BAD_USAGE)
    raise error


def _reader_left() -> int:
    """`flashsale tail … | head`: nobody reads on, which is no error; nor may the last flush complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _said(sentence: str, status: int) -> int:
    from streams.log import printable

    sys.stderr.write(f"{printable(sentence)}\n")
    return status


def _one_line(text: str) -> str:
    return " ".join(text.split())
