"""A person looks at images, in a browser, and judges them."""
