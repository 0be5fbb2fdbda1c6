"""The market as a deterministic state machine: one module per stage, exact integers only."""
