"""Where images to learn from come from."""
