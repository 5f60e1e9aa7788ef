"""BERT-like pretraining for DNA: the science and the engine behind the workflow.

Where a module has a command, `python -m randommask.<module>` runs it; the rules in
`workflow/rules` do no more than that.
"""

__version__ = "0.3.0.dev0"

TITLE = (
    "RandomMask: a workflow that reproduces BERT-like pretraining experiments on DNA"
)
ADDRESS: str | None = None
"""Where the program is published: `repository-code` of CITATION.cff, if anywhere."""


def program() -> str:
    """The program as cards name it: its title and, if it has one, its address."""
    return f'"{TITLE}"' + (f" ({ADDRESS})" if ADDRESS else "")
