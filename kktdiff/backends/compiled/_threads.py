"""Work on shares of a batch in threads, with BLAS held to one thread in each of them."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

from threadpoolctl import ThreadpoolController

_SMALL = 1e6  # floating-point operations that are not worth a second thread
_SHARES = 4  # for each thread, since elements take different times


def in_threads(work: Callable[[int, int], None], count: int, operations: float) -> None:
    """Call ``work(first, end)`` for shares of ``range(count)``; `operations`: of all together."""
    threads = min(limit(), count)
    if threads == 1 < limit():
        work(0, count)  # one element: BLAS may have the threads
        return
    with _controller().limit(limits=1, user_api="blas"):  # several calls at once: by one of them
        if threads == 1 or operations < _SMALL:
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
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kktdiff")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
