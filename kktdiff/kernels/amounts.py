"""How much work and memory problems take in the kernels."""

IN_LANES = 1 << 14  # entries of Q, G, A and H up to which problems go into lanes everywhere
PER_SECOND = 5e9  # operations of one thread, for its share of the work
SPARSE_LANES = 1 << 16  # entries of L and of the system up to which a sparse batch goes into lanes
ITERATIONS = 10  # for the same


def seconds(length: int, n: int, m: int, k: int) -> float:
    """Return about how long a batch of problems takes in one thread."""
    return length * ITERATIONS * operations(n, m, k) / PER_SECOND


def in_lanes(n: int, m: int, k: int) -> bool:
    """Return True if problems go into lanes everywhere, and their factors are not kept."""
    return (2 * n + m + k) * n <= IN_LANES


def kept_size(n: int, m: int, k: int, rows: int) -> int:
    """Return the number of entries of `Solved.kept` for one problem."""
    return 3 * n + m + 2 * rows + 2 * k + 2


def operations(n: int, m: int, k: int) -> float:
    """Return about how many operations it takes to factor the system once."""
    return 1000 + n * n * (n / 3 + m + k) + 20 * n * (n + m + k)
