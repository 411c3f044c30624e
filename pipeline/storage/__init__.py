"""A folder here or in a bucket: read, write, list, hold."""
