"""Definitions of features, and the engine that computes them the same way live and in replay."""
