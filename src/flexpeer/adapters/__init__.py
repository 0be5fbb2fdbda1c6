"""The outside world: files, logs, independent power flow."""
