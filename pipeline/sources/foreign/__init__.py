"""Labels as other tools and services write them, in and out: one module a format."""
