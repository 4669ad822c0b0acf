"""What is kept of the columns of a history: one kernel a file, each with arrays of its own."""
