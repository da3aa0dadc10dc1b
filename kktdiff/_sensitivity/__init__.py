"""Derivatives of a solution, from the KKT system of its active set."""
