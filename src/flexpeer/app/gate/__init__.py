"""The clearing at gate closure."""
