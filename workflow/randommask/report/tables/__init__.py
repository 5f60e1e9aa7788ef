"""The tables: long csv for machines, Markdown and LaTeX as printed for readers.

`runs` reads the fine-tunings, `scores` makes Tables 2 and 3 of them, `recipes` makes
Tables 1, 4 and 5, `datapage` describes the prepared datasets; `records` is the csv
side, `sheet` the printed side. The command is `python -m randommask.report.tables`.
"""
