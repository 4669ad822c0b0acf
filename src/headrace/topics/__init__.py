"""The log between stages: the contract, the frame, the reader, and one file per kind of log."""
