"""READMEs of the repository as pages of the site, with links that lead there.

They stand where a reader of the repository meets them, and their links are written for
that place; `mkdocs.yml` names this file.
"""

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "config/README.md": "config.md"}
PAGES |= {"results/README.md": "results.md"}
LINK = re.compile(r"(\]\()([^)#:\s]+)")


def on_files(files, config):
    """Add the READMEs."""
    for source, page in PAGES.items():
        path = str(ROOT / source)
        files.append(File.generated(config, page, abs_src_path=path))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links between places of the repository into links between pages."""
    sources = {page: source for source, page in PAGES.items()}
    here = page.file.src_uri
    folder = PurePosixPath(sources.get(here, f"docs/{here}")).parent

    def turn(found):
        path = os.path.normpath(folder / found[2])
        return found[1] + PAGES.get(path, path.removeprefix("docs/"))

    return LINK.sub(turn, markdown)
