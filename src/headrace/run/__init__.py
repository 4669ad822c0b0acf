"""Tasks, the worker that gives them turns, and the only clock of the project."""
