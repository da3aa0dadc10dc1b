"""Soft rows: an exact price of each unit by which a row is violated.

The problem with slack variables has the same solution as the given one,

    minimise    1/2 x'Qx + p'x + w'(t_h, t_b + u_b, t_lb, t_ub)        over x and t, u >= 0
    subject to  Gx - t_h <= h,   Ax - t_b + u_b = b,   -x - t_lb <= -lb,   x - t_ub <= ub,

with a slack for each soft entry of a right-hand side and none for the hard ones, whose bounds stay
bounds. The compiled kernels take the prices, make the slacks and eliminate them, and give solutions
and gradients in the given problem's shape. For other derivatives, for elements that they leave, and
in array code the problem with slacks is written out, and every part of the solver works on it as on
any other QP. What it finds is brought back: ``t_h``, ``t_b - u_b``, ``t_lb`` and ``t_ub`` are the
violations, and the gradient of a price is that of the linear term of its slack.
"""
