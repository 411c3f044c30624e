"""Classifies a folder of images into one CSV."""
