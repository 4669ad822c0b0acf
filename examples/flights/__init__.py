"""A year of flights out of New York, and whether each will land more than 15 minutes late."""
