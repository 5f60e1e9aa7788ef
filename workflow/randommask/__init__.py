"""BERT-like pretraining for DNA: the science and the engine behind the workflow.

Where a module has a command, `python -m randommask.<module>` runs it; the rules in
`workflow/rules` do no more than that.
"""

__version__ = "0.2.0"
