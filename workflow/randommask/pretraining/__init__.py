"""Shards in; an encoder out, one segment of its steps at a time."""
