"""Examples that run: each folder is a project, and its `pipeline.py` is what a user would write."""
