"""Experiments in torch: ``python -m examples.sudoku``, ``denoising``, ``digits``, ``distributed``.

They need ``pip install -e ".[examples]"``, and run from the root of the repository.
"""
