"""BERT-like pretraining for DNA: the science and the engine behind the workflow.

Each module is one room and, where it has a command, `python -m randommask.<module>`
is its door; the rules in `workflow/rules` only open these doors.
"""

__version__ = "0.1.0"
