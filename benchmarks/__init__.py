"""Measures, one per file: each is a module with `run(*, quick, **options)` and `NOTES`, what was learnt from it.

`python -m benchmarks NAME [--quick] [--json] [--OPTION VALUE ...]` runs one, `python -m benchmarks all --write` runs
each in a process of its own and writes RESULTS.md.
"""
