"""What must hold of the data, and the report on it."""
