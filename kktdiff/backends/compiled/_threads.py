"""Work on shares of a batch in threads, with BLAS held to one thread in each of them."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any

from threadpoolctl import ThreadpoolController

from kktdiff.backends.compiled import processors

_SMALL = 1e6  # floating-point operations that are not worth a second thread
_SHARES = 4  # for each thread, since elements take different times


def in_threads(work: Callable[[int, int], None], count: int, operations: float) -> None:
    """Call ``work(first, end)`` for shares of ``range(count)``; `operations`: of all together."""
    most = limit()
    threads = min(most, count)
    if threads == 1 < most or operations < _SMALL:  # one element: BLAS may have the threads
        work(0, count)
        return
    with _blas():
        if threads == 1:
            work(0, count)
            return
        shares = _SHARES * threads
        edges = sorted({count * i // shares for i in range(shares + 1)})
        for done in [_pool(threads).submit(work, *share) for share in pairwise(edges)]:
            done.result()


def limit() -> int:
    """``KKTDIFF_THREADS``, else ``OMP_NUM_THREADS``, else the processors that we may use."""
    for name in ("KKTDIFF_THREADS", "OMP_NUM_THREADS"):
        given = os.environ.get(name, "").split(",")[0]
        if given.isdecimal() and int(given) > 0:
            return int(given)
    return processors()


class _OneThreadEach:
    """BLAS has one thread as long as anybody is inside, and what it had before afterwards.

    The setting belongs to the whole process: of several calls at once the first one in changes it,
    and the last one out changes it back. threadpoolctl heeds one thread at a time, so that it is
    always the same one that asks.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._held: Any = None
        self._asks = ThreadPoolExecutor(1, thread_name_prefix="kktdiff-blas")
        self._controller = ThreadpoolController()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                one = partial(self._controller.limit, limits=1, user_api="blas")
                self._held = self._asks.submit(one).result()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._asks.submit(self._held.__exit__, None, None, None).result()


@cache
def _blas() -> _OneThreadEach:
    return _OneThreadEach()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kktdiff")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
    os.register_at_fork(after_in_child=_blas.cache_clear)
