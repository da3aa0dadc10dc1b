"""How code is compiled: without the interpreter's lock, and with NumPy's rules for arithmetic.

Code that only works on arrays which others own counts no references to them: to count them takes
longer than the work on a small problem. It can make no arrays, and return none; what hands parts of
arrays back is put in place of the call.
"""

from functools import partial

from numba import njit

# A division by zero gives infinity or NaN, which the element's own residuals show; it must not
# raise, or the batch would be lost.
_compile = partial(njit, nogil=True, error_model="numpy", _nrt=False, no_cfunc_wrapper=True)

kept = _compile(cache=True)  # on disk; the only ones that Python calls
_inner = partial(_compile, no_cpython_wrapper=True)  # which takes a fifth of the time to compile

exact = _inner()

# Sums may be taken in any order, the same for the same sizes; NaN and infinity stay what they are.
fast = _inner(fastmath={"reassoc", "contract", "nsz"})

# In place of the call: what hands parts of arrays back, and what is called once, since what
# functions call is compiled again with each of them.
inlined = _inner(inline="always")
