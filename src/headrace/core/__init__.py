"""What every room speaks: records, schema, time, errors. No I/O, and nothing of ours is imported here."""
