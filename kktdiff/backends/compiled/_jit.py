"""How code is compiled: without the interpreter's lock, and with NumPy's rules for arithmetic."""

from numba import njit

# A division by zero gives infinity or NaN, which the element's own residuals show; it must not
# raise, or the batch would be lost.
exact = njit(nogil=True, error_model="numpy")

# Sums may be taken in any order, the same for the same sizes; NaN and infinity stay what they are.
fast = njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})

kept = njit(nogil=True, error_model="numpy", cache=True)  # on disk
