"""Bytes -> pixels: the only decoder."""
