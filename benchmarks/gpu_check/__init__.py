"""Everything that is to be known of kktdiff on a GPU, by one command in one try.

    python -m benchmarks.gpu_check [--minutes 6] [--out DIR] [--commit TEXT] [--host]
    python -m benchmarks.gpu_check --docs docs/results [--from REPORT.json]

Each stage has a process of its own and its share of the time, so that a crash or a hang loses that
stage alone. A stage is a module here with ``records(seconds, argument, device)``, whose records are
on disk as soon as they are yielded; the report is written again after each stage. ``--host`` is a
rehearsal with NumPy on this machine's processor. The second command makes the documentation's table
from the newest report.

Exit status: 0 if every stage that decides passed, 1 if one did not, 2 where there is no GPU.
"""
