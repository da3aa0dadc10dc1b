"""Stages of the GPU check that go wrong, each in a way of its own."""

import os
import time


def records(seconds, argument, device):
    yield {"gpu": "Some GPU 1", "said": argument}
    if argument == "raises":
        raise RuntimeError("it broke\nin the second line, too")
    if argument == "aborts":
        os.abort()
    if argument == "hangs":
        time.sleep(60)
    if argument == "is wrong":
        yield {"workload": "W1", "batch": 4, "failed": "statuses differ", "lines": ["0 and 1"]}
    if argument == "is skipped":
        yield {"skipped": "not there"}
    if argument == "has no device":
        yield {"unavailable": "no driver, no GPU"}
