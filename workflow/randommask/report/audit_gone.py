"""The paper's printed numbers, checked against each other.

Where they disagree, our differences to them have to be read with that in mind. `checks`
computes, `python -m randommask.report.tables.audit` writes the page.
"""
