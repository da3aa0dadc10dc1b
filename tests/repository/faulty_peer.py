"""A library for `benchmarks.run` that does one thing wrong, by configuration."""

import os
import time

from kktdiff import bench

PACKAGES = ()
CONFIGURATIONS = {
    name: {"fault": name}
    for name in ("none", "gradient", "one of many", "less", "raises", "sleeps", "dies")
}


def build(problem, fault):
    """kktdiff, with the fault."""
    if fault == "raises":
        raise RuntimeError("it broke\nin the second line, too")
    if fault == "sleeps":
        time.sleep(60)
    if fault == "dies":
        os._exit(3)
    honest = bench.build(problem)

    def read(sol, grads):
        found = honest.read(sol, dict(grads))
        if fault == "gradient":
            found["h"] = 1.5 * found["h"]
        if fault == "one of many":
            found["h"] = found["h"].copy()
            found["h"][0] *= 1.5
        if fault == "less":
            found["h"] = (1 + 1e-4) * found["h"]
        return found

    return honest._replace(read=read)
