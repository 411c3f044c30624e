"""Folders on a disk or in a bucket: read, write, list, lock."""
