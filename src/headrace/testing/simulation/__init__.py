"""The simulation: the real reader, writer, snapshots, tasks and stages under a seeded scheduler that lets things fail."""
