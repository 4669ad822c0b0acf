"""Compiled functions over arrays that their caller allocated. Only this folder imports numba."""
