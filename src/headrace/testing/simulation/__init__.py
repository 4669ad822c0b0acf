"""The simulation: the real reader, writer, snapshots, tasks and stages under a scheduler that lets things fail."""
