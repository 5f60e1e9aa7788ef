"""A pretrained encoder as a folder to publish, checked by who gets it."""
