"""Forty faults that a batch must survive, each a test by its number; see proofs.py for helpers."""
