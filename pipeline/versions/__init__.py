"""Versions of the images, through DVC."""
