"""The networks to start from."""
