"""Derivatives of a solution, from the factors that the solve left."""
