"""What is known of the images to learn from: labels, manifest, duplicates, splits, arrays, features."""
