"""Ablations: what a group of encoders answers, what it takes, and how it goes again."""
