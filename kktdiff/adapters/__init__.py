"""Thin wrappers of the solver and its derivatives for other ways of writing gradients."""
