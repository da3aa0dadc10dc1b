"""A progress bar on standard error, by tqdm, which is an extra."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

_SECONDS = 5  # between two updates in a log


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
        with shown.external_write_mode():
            yield
    else:
        shown.fp.write("\n")
        yield
