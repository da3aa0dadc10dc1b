"""Libraries that adapters need and that an install without extras has not."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def extra(*names: str) -> Iterator[None]:
    """Import within this what the extras `names` bring; each is called as its library.

    Raises
    ------
    ModuleNotFoundError
        That one of them is not installed, with the line that installs it.

    Examples
    --------
    >>> from kktdiff.adapters._extras import extra
    >>> with extra("qiskit"):
    ...     raise ModuleNotFoundError("No module named 'qiskit'", name="qiskit")
    Traceback (most recent call last):
    ModuleNotFoundError: qiskit is not installed: pip install "kktdiff[qiskit]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in names:
            raise
        message = f'{error.name} is not installed: pip install "kktdiff[{",".join(names)}]"'
        raise ModuleNotFoundError(message, name=error.name) from None
