"""Bytes from outside become shards, windows and tables."""
