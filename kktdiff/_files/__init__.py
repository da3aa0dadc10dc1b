"""Files of the command line: read untrusted files, write files completely or not at all."""

from kktdiff._files._errors import UsageError, cannot, listed, shown
from kktdiff._files._npz import read
from kktdiff._files._output import check_output, replacing, write
from kktdiff._files._problems import DATA, PRICES, example, read_problem

__all__ = [
    "DATA",
    "PRICES",
    "UsageError",
    "cannot",
    "check_output",
    "example",
    "listed",
    "read",
    "read_problem",
    "replacing",
    "shown",
    "write",
]
