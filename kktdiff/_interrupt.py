"""Ctrl-C while the command line is not in `main`: a line and the exit status, no traceback.

``python -m kktdiff`` imports the package before any code of the command runs, so that only the
package's first import can see to it. Where kktdiff is imported as a library nothing is changed.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

STATUS = 130  # of a command that was interrupted, by the shells' convention


def leave(*_: Any) -> None:
    """End the process at once, whatever it is doing."""
    with contextlib.suppress(OSError):
        os.write(2, b"kktdiff: interrupted\n")
    os._exit(STATUS)


def is_command() -> bool:
    """Return True if this process was started as ``python -m kktdiff``, or as ``kktdiff``."""
    name = (getattr(sys, "argv", None) or [""])[0]
    if name == "-m":  # what stands there until the module is found
        return not {"kktdiff", "-mkktdiff"}.isdisjoint(sys.orig_argv)
    return os.path.splitext(os.path.basename(name))[0] == "kktdiff"


COMMAND = is_command()


@contextlib.contextmanager
def handled_by(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Let Ctrl-C call `handler`, in a command and unless someone else has decided what it does."""
    if not COMMAND or signal.getsignal(signal.SIGINT) not in (leave, signal.default_int_handler):
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, leave)
