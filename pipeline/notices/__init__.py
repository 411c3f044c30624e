"""Telling people how a night or a training ended."""
