"""One box of the design's picture per file. A stage imports no stage: they meet only in topics."""
