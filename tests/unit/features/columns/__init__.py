"""Tests of the kernels of columns."""
