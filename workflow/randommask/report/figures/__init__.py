"""Figures 1 to 5 of the paper, drawn from the small files of the runs.

`style` holds what they share: one font, one colour for each encoder, two widths.
"""
