"""How good answers were: metrics, and test-then-train evaluation on arrays."""
