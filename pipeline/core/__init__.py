"""What every package may import, and what imports none of them: errors, paths, code identity, threads, log, pages."""
