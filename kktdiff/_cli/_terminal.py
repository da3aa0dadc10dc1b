"""Standard output and standard error, which may be closed, full, or of another encoding."""

import argparse
import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any, NoReturn, TextIO

from kktdiff._files import shown


class OutputLostError(Exception):
    """Error of standard output, kept apart from those of files."""


def say(text: str) -> None:
    """Print a line or more; a log shows it at once, in order with a progress bar."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:  # ValueError: it was closed
        raise OutputLostError from error


def complain(text: str) -> None:
    """Print a sentence on standard error, if there is one."""
    if sys.stderr is not None:  # print would take it for standard output
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


def prepare() -> None:
    """Let characters that the terminal can't show be escaped instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write out what argparse printed, and what is left of progress if anyone can see it."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        give_up(sys.stderr)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        raise OutputLostError from error


def give_up(stream: TextIO | None) -> None:
    """Keep Python from writing the rest to a stream that is lost, and from saying so."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors show control characters escaped, and the command's usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown arguments here: the parser of all commands would show its own usage."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        super().error(shown(Path(message)))
