"""Mistakes that the simulation must find: each is planted in the real code, one decision of it, and taken out again."""
