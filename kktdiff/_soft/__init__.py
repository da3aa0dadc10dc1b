"""Soft rows: an exact price of each unit by which a row is violated.

The problem with slack variables is solved in the place of the given one,

    minimise    1/2 x'Qx + p'x + w'(t_h, t_b + u_b, t_lb, t_ub)        over x and t, u >= 0
    subject to  Gx - t_h <= h,   Ax - t_b + u_b = b,   -x - t_lb <= -lb,   x - t_ub <= ub,

with a slack for each soft entry of a right-hand side and none for the hard ones, whose bounds stay
bounds. Every part of the solver works on it as on any other QP. What it finds is brought back:
``t_h``, ``t_b - u_b``, ``t_lb`` and ``t_ub`` are the violations, and the gradient of a price is
that of the linear term of its slack.
"""
