"""Sparse matrices: patterns, what the kernels need of them, and products."""
