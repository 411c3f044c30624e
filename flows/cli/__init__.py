"""The command `nightshift`."""
