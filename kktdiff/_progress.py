"""A progress bar on standard error, by tqdm, which is an extra."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

_SECONDS = 5  # between two updates in a log


class _Stream:
    """A stream whose errors are kept: progress that no one sees is lost, and the work goes on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        """Write, if that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, if that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def bar(**options: Any) -> Any:
    """Return a tqdm bar; in a log, where it can't be redrawn, it shows itself only now and then.

    Raises
    ------
    ImportError
        tqdm is missing.
    """
    from tqdm import tqdm  # here, because it is an extra

    terminal = sys.stderr is not None and sys.stderr.isatty()
    return tqdm(
        file=_Stream(sys.stderr),
        leave=not terminal,
        mininterval=0.1 if terminal else _SECONDS,
        dynamic_ncols=terminal,
        ascii=None if terminal else True,
        disable=sys.stderr is None,
        **options,
    )


@contextlib.contextmanager
def aside(shown: Any) -> Iterator[None]:
    """Take a bar away while something else is printed; in a log, end its line. None is no bar."""
    if shown is None or shown.disable:
        yield
    elif shown.dynamic_ncols:  # a terminal
        shown.clear()
        yield
        shown.refresh()
    else:
        shown.fp.write("\n")
        yield
