"""What a target will cost before it starts."""
