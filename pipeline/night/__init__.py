"""A folder -> one CSV."""
