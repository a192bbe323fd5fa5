"""Runs a command and turns whatever went wrong into one sentence and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from typer import TyperException

from flashsale.cli.output import ReaderLeft

BAD_USAGE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The `flashsale` command; ends the process.

    Status 0: fine. 1: it ran, and the answer is bad. 2: bad usage, configuration, or no connection: one
    sentence on standard error. 130: interrupted.
    """
    sys.exit(_run(sys.argv[1:] if arguments is None else list(arguments)))


def _run(arguments: list[str]) -> int:
    from flashsale.cli.commands import app

    try:
        status = app(arguments or ["--help"], prog_name="flashsale", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except TyperException as error:
        return _said(f"{_one_line(error.format_message())} See `flashsale --help`.", BAD_USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BrokenPipeError, ReaderLeft):
        return _reader_left()
    except Exception as error:
        return _failed(error)


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
    sys.stderr.write(f"{sentence}\n")
    return status


def _one_line(text: str) -> str:
    return " ".join(text.split())
