"""Architectures, and the folders that encoders live in."""
