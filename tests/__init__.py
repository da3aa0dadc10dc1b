"""The test suite. Shared helpers: problems, reference, tolerances, namespaces, checks, datasets."""
