"""How code is compiled: without the interpreter's lock, and with NumPy's rules for arithmetic.

Code that only works on arrays which others own counts no references to them: to count them takes
longer than the work on a small problem. It can make no arrays, and return none; what hands parts of
arrays back is put in place of the call.
"""

from numba import njit

# A division by zero gives infinity or NaN, which the element's own residuals show; it must not
# raise, or the batch would be lost.
exact = njit(nogil=True, error_model="numpy", _nrt=False)

# Sums may be taken in any order, the same for the same sizes; NaN and infinity stay what they are.
fast = njit(nogil=True, error_model="numpy", _nrt=False, fastmath={"reassoc", "contract", "nsz"})

# In place of the call: what hands parts of arrays back, and what is called once, since what
# functions call is compiled again with each of them.
inlined = njit(nogil=True, error_model="numpy", _nrt=False, inline="always")

kept = njit(nogil=True, error_model="numpy", _nrt=False, cache=True)  # on disk
