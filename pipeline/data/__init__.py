"""The dataset: labels, manifest, duplicates, splits, arrays, features."""
