"""Messages about how a night or a training ended."""
