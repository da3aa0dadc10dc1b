"""The form of the problem with slack variables: which entries are soft, and where things stand."""

from collections.abc import Iterator
from typing import NamedTuple

from kktdiff._arrays import concat, namespace, take, take_shared, taken
from kktdiff._given import Given
from kktdiff._layout import DIMENSIONS, PRICES
from kktdiff._settings import INFINITE
from kktdiff._typing import Array

SIDES = ("b", "h", "lb", "ub")  # in the order of their slacks


class Side(NamedTuple):
    """The soft entries of a right-hand side."""

    mask: Array  # (size,) bool: the soft ones
    places: Array  # (c,): where they stand
    ranks: Array  # (size,): which of them an entry is; 0 for a hard one
    slack: int  # the column of the first one's slack
    row: int  # the first one's row in the G of the problem with slacks, if it is a bound

    @property
    def soft(self) -> int:
        """Number of soft entries, c."""
        return int(self.places.shape[0])

    @property
    def rows(self) -> Array:  # (c,)
        """The rows of soft bounds in the G of the problem with slacks."""
        return self.row + namespace(self.places).arange(self.soft, device=self.places.device)

    def gather(self, v: Array) -> Array:  # (B, size, ...) -> (B, c, ...)
        """Return the soft entries of `v`."""
        all_soft = self.soft == self.mask.shape[0]
        return v if all_soft else namespace(v).take(v, self.places, axis=1)

    def scatter(self, v: Array, hard: Array | float = 0.0) -> Array:  # -> (B, size, ...)
        """Return `v`, (B, c, ...), at the places of the soft entries, and `hard` elsewhere."""
        xp, size = namespace(v), self.mask.shape[0]
        if self.soft == size:
            return xp.asarray(v, copy=True)
        if not self.soft:
            return xp.zeros((v.shape[0], size, *v.shape[2:]), dtype=v.dtype, device=v.device) + hard
        mask = xp.reshape(self.mask, (size, *(1,) * (v.ndim - 2)))
        return xp.where(mask, xp.take(v, self.ranks, axis=1), hard)


class Layout(NamedTuple):
    """The form of the problem with slacks, the same for all elements of a part of the batch.

    The slacks are the last variables, q of them. Each stands in one row alone. Those of "b" are the
    first, two for each soft row of A, first all with -1, then all with 1; then those of "h", "lb"
    and "ub", with -1 in a row of G each. The soft bounds are the last rows of G.
    """

    sizes: tuple[int, int, int]  # n, m, k of the given problem
    sides: dict[str, Side]  # of the right-hand sides that have prices, in the order of SIDES

    @property
    def slacks(self) -> int:
        """Number of slack variables, q."""
        return sum(side.soft * (1 + (name == "b")) for name, side in self.sides.items())

    @property
    def slack_rows(self) -> Array | None:  # (c,)
        """The rows of G of the slacks of inequalities, the last variables; None without any."""
        sides = {name: side for name, side in self.sides.items() if name != "b" and side.soft}
        if not sides:
            return None
        xp = namespace(next(iter(sides.values())).places)
        return xp.concat([v.places if name == "h" else v.rows for name, v in sides.items()])

    @property
    def bound_rows(self) -> int:
        """Number of soft bounds."""
        return sum(self.sides[name].soft for name in ("lb", "ub") if name in self.sides)


class Part(NamedTuple):
    """Elements of the batch whose problems have the same form."""

    index: Array  # (b,): their places in the flat batch
    data: dict[str, Array | None]  # the arguments by name, each (b or 1, ...)
    layout: Layout


def parts(given: Given, places: Array | None = None) -> Iterator[Part]:
    """Split the batch, or its elements at `places`, by the form of the problem with slacks.

    The form that an element is solved in depends on itself alone, never on its batch.

    Raises
    ------
    ValueError
        If matrices are sparse: too large for dense copies.
    """
    if given.works_sparse:
        raise ValueError(
            f"n + m + k = {sum(given.sizes.values())}: of large sparse problems with soft rows "
            "there is vjp with an exact gradient, and no other derivative; see docs/sparse.md"
        )
    data = {name: given.flat(name) for name in DIMENSIONS if name in given.arrays}
    masks = [_soft_entries(data, side) for side in SIDES if data.get(f"soft_{side}") is not None]
    mask = concat(masks, axis=1)
    xp = namespace(mask)
    left = xp.arange(given.length, device=mask.device) if places is None else places
    if not given.length:
        yield Part(left, data, _layout(given, xp.any(mask, axis=0)))
    while left.shape[0]:
        own = mask[0 if mask.shape[0] == 1 else int(left[0]), :]
        same = xp.all(take_shared(mask, left) == own, axis=1)
        index = left if bool(xp.all(same)) else take(left, xp.nonzero(same)[0])
        whole = index.shape[0] == given.length
        some = data.values() if whole else taken(data.values(), index, shared=True)
        yield Part(index, dict(zip(data, some, strict=True)), _layout(given, own))
        left = left[:0] if index is left else take(left, xp.nonzero(~same)[0])


def _soft_entries(data: dict[str, Array | None], side: str) -> Array:  # (B or 1, size) bool
    """Return True where a limit has a finite price, or one that is no number."""
    price: Array = data[f"soft_{side}"]
    limit: Array = data[side]
    xp = namespace(price)
    soft = ~(price >= INFINITE)
    if side == "b":
        return soft
    absent = -limit >= INFINITE if side == "lb" else limit >= INFINITE
    return xp.isnan(price) | (soft & ~absent)


def _layout(given: Given, mask: Array) -> Layout:
    """Count the slacks of the soft entries `mask`, those of all right-hand sides with prices."""
    xp, n, m = namespace(mask), given.sizes["n"], given.sizes["m"]
    sides, first, slack, row = {}, 0, n, m
    for name in SIDES:
        if given.arrays.get(f"soft_{name}") is None:
            continue
        soft = mask[first : first + given.sizes[PRICES[f"soft_{name}"]]]
        places = xp.nonzero(soft)[0]
        ranks = xp.searchsorted(places, xp.arange(soft.shape[0], device=mask.device))
        ranks = xp.where(soft, ranks, 0)
        side = sides[name] = Side(soft, places, ranks, slack, row)
        first, slack = first + soft.shape[0], slack + side.soft * (1 + (name == "b"))
        row += side.soft if name in ("lb", "ub") else 0
    return Layout((n, m, given.sizes["k"]), sides)
