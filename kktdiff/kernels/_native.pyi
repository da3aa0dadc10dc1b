from kktdiff._typing import Array

def call(
    variant: str,
    name: str,
    sizes: tuple[int, ...],
    options: tuple[float, ...],
    arrays: tuple[Array | None, ...],
    threads: int,
) -> int: ...
def variants() -> tuple[str, ...]: ...
