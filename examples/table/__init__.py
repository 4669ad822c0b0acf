"""The library without a server: a table in, features out; a model evaluated on arrays."""
