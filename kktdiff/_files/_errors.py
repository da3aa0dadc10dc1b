"""Messages of the command line about faulty files."""

from collections.abc import Collection
from pathlib import Path

_LONGEST = 200  # characters of a name from a file


class UsageError(Exception):
    """Error whose message is one sentence for the user."""


def shown(name: object) -> str:
    """Return a name as it may be printed: control characters are escaped, long ones cut.

    Examples
    --------
    >>> from kktdiff._files import shown
    >>> print(shown("a\\x1b[2J"))
    a\\x1b[2J
    """
    text = str(name)
    if not isinstance(name, Path) and len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def listed(names: Collection[str]) -> str:
    """Return names by commas as they may be printed, the first ten of them."""
    first, *rest = (shown(name) for name in names) if names else ("nothing",)
    return ", ".join([first, *rest[:9], *["..."][: len(rest) > 9]])


def cannot(do: str, path: Path, error: OSError) -> UsageError:
    """Return a UsageError whose message gives the reason of an OSError."""
    return UsageError(f"can't {do} {shown(path)}: {shown(error.strerror or error)}")


def size(count: int) -> str:
    """Return a number of bytes with a unit."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{value:.3g} {unit}"
