"""Measurements that compare this library with others; none of them is installed with it."""
