"""Everything that is to be known of kktdiff on a GPU, by one command in one try.

    python -m benchmarks.gpu_check [--minutes 8] [--out DIR] [--commit TEXT]
    python -m benchmarks.gpu_check --docs docs/results [--from REPORT.json]

Each stage (`stages`) has a process of its own and its share of the time, so that a crash, a hang or
a broken device loses that stage alone. A stage is a module with

    records(seconds, argument) -> Iterator[Record]

whose records are on disk as soon as they are yielded. Report and tables are written again after
each stage. The second command makes the documentation's table from the newest report.

Exit status: 0 if every stage that decides passed, 1 if one did not, 2 where there is no GPU.
"""
