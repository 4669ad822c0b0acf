"""What is kept beside the log: snapshots of tasks and the versions of models."""
