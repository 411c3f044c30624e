"""A project's folder: made from the installed package, and brought up to date with it."""
