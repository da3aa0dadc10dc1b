"""Experiments: ``python -m examples.sudoku``, ``denoising``, ``digits``, ``distributed`` and more.

`examples.gallery` holds short scripts that teach. All need ``pip install -e ".[examples]"``, and
run from the root of the repository.
"""
