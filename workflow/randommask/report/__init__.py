"""The report: one page that holds tables, figures and settings, and needs no network.

`sections` makes the parts from the csv and Markdown files, `page.html` and `style.css`
are what they are set in; the command is `python -m randommask.report`.
"""
