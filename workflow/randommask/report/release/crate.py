r"""Describe a finished run for other programs: an RO-Crate, and its scores as a table.

    python -m randommask.report.release.crate --results results/demo \
        --checksums resources/checksums.tsv --repository . \
        --hparams '{"experiment": {"name": "demo"}, "config": {...}}' \
        --config results/demo/config.yaml --card results/demo/scores/README.md \
        --scores results/demo/scores/scores.parquet \
        --output results/demo/ro-crate-metadata.json

The results folder becomes the crate (https://w3id.org/ro/crate/1.1): each table, figure
and page with its checksum, folders of runs and encoders as wholes, the config, what was
downloaded, and the program that made them (profile Process Run Crate).
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from randommask import __version__, files
from randommask.data.checksums import read as read_ledger
from randommask.errors import InputError, run, shown
from randommask.experiment.hparams import CratePage
from randommask.experiment.sections import License
from randommask.report import provenance
from randommask.report.release import table

Entity = dict[str, Any]

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
}
FOLDERS = {
    "finetune": "Each fine-tuning: scores and settings, predictions, history",
    "encoders": "The encoders that were fine-tuned, a folder each",
    "benchmark": "The data sets as prepared, and what leaks in them",
    "pretrain": "The pretraining: weights and losses, segment by segment",
}
PROGRAM, ACTION, UNLICENSED = "#randommask", "#run", "#no-license"


def describe(
    results: Path,
    checksums: Path,
    repository: Path,
    hparams: CratePage,
    made: Sequence[Path],
) -> Entity:
    """The whole crate; `made` are files of it beside the tables, figures and report."""
    cited = _citation(repository / "CITATION.cff")
    listed = [*_results(results), *made]
    parts = [_file(results, path) for path in sorted(set(listed))]
    parts += [
        {"@id": f"{name}/", "@type": "Dataset", "name": name, "description": what}
        for name, what in FOLDERS.items()
        if (results / name).is_dir()
    ]
    inputs = [*_downloads(checksums)]
    versions = [*_versions(provenance.read_runs(results / "finetune"))]
    authors = [*_authors(cited)]
    papers = [*_papers(cited)]
    license_ = _license(hparams.license)
    ended = datetime.fromtimestamp((results / "report.html").stat().st_mtime, UTC)
    notice = hparams.experiment.notice
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Results of the experiment {hparams.experiment.name}",
        "description": notice or "Tables, figures and scores, with how they were made.",
        "datePublished": ended.date().isoformat(),
        "license": _ref(license_),
        "conformsTo": {"@id": PROFILE},
        "citation": [*map(_ref, papers)],
        "hasPart": [*map(_ref, parts)],
        "mentions": {"@id": ACTION},
    }
    config = next(part for part in parts if part["@id"].endswith("config.yaml"))
    action = {
        "@id": ACTION,
        "@type": "CreateAction",
        "name": "Run of the workflow",
        "instrument": {"@id": PROGRAM},
        "endTime": ended.isoformat(timespec="seconds"),
        "object": [_ref(config), *map(_ref, inputs)],
        "result": [_ref(part) for part in parts if part is not config],
    }
    program = {
        "@id": PROGRAM,
        "@type": "SoftwareApplication",
        "name": cited["title"],
        "version": __version__,
        "identifier": f"commit {provenance.commit(repository)}",
        "license": {"@id": f"https://spdx.org/licenses/{cited['license']}"},
        "author": [*map(_ref, authors)],
        "softwareRequirements": [*map(_ref, versions)],
    }
    if address := cited.get("repository-code"):
        program["url"] = address
    graph = [*_frame(), root, *parts, action, program, *inputs, *versions, *authors]
    graph += [*papers, license_, _spdx(cited["license"])]
    terms = {"sha256": "https://schema.org/sha256"}
    context = [f"{SPECIFICATION}/context", terms]
    unique = {entity["@id"]: entity for entity in graph}
    return {"@context": context, "@graph": [*unique.values()]}


def _frame() -> Iterator[Entity]:
    """The file itself, and the profile that it follows."""
    yield {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": SPECIFICATION},
        "about": {"@id": "./"},
    }
    yield {
        "@id": PROFILE,
        "@type": "CreativeWork",
        "name": "Process Run Crate",
        "version": "0.5",
    }


def _ref(entity: Entity) -> Entity:
    return {"@id": entity["@id"]}


def _results(results: Path) -> Iterator[Path]:
    """The pages that are read: the report, tables, figures, ablations."""
    yield results / "report.html"
    for folder in ("tables", "figures", "ablations"):
        for path in sorted((results / folder).rglob("*")):
            if path.suffix in FORMATS and path.is_file():
                yield path


def _file(results: Path, path: Path) -> Entity:
    place = path.relative_to(results).as_posix()
    return {
        "@id": quote(place),
        "@type": "File",
        "name": place,
        "encodingFormat": FORMATS[path.suffix],
        "contentSize": str(path.stat().st_size),
        "sha256": files.sha256(path),
    }


def _downloads(checksums: Path) -> Iterator[Entity]:
    """What was fetched, by the ledger: not in the crate, but known by its sum."""
    for row in read_ledger(checksums).values():
        entity = {
            "@id": f"#download/{row.source}/{row.file}",
            "@type": "CreativeWork",
            "name": f"{row.source}: {row.file}",
            "contentSize": str(row.bytes),
            "sha256": row.sha256,
        }
        key = "url" if "://" in row.origin else "identifier"
        yield entity | {key: row.origin}


def _versions(runs: list[dict[str, Any]]) -> Iterator[Entity]:
    """What the fine-tunings were computed with; another version, another entity."""
    found = {
        (name, str(value))
        for metrics in runs
        for name, value in metrics.get("versions", {}).items()
        if name != "randommask"
    }
    for name, value in sorted(found):
        yield {
            "@id": f"#{name}-{value}",
            "@type": "SoftwareApplication",
            "name": name,
            "version": value,
        }


def _citation(path: Path) -> dict[str, Any]:
    cited = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in ("title", "license", "authors"):
        if not isinstance(cited, dict) or key not in cited:
            raise InputError(f"{path}: no key {key!r}, expected a CITATION.cff")
    return cited


def _authors(cited: dict[str, Any]) -> Iterator[Entity]:
    """Persons by their names, groups by theirs."""
    for number, author in enumerate(cited["authors"], start=1):
        person = [author.get("given-names"), author.get("family-names")]
        name = author.get("name") or " ".join(filter(None, person))
        yield {
            "@id": author.get("orcid", f"#author-{number}"),
            "@type": "Organization" if "name" in author else "Person",
            "name": name,
        }


def _papers(cited: dict[str, Any]) -> Iterator[Entity]:
    """What the program refers to, above all the paper that it reproduces."""
    for number, paper in enumerate(cited.get("references", ()), start=1):
        notes = paper.get("notes", "")
        arxiv = re.search(r"\d{4}\.\d{5}", notes)
        place = f"https://arxiv.org/abs/{arxiv[0]}" if arxiv else f"#paper-{number}"
        yield {
            "@id": place,
            "@type": "ScholarlyArticle",
            "name": paper["title"],
            "datePublished": str(paper.get("year", "")),
            "description": notes,
        }


def _license(chosen: License | None) -> Entity:
    """Of the results, which is not that of the program."""
    if chosen is None:
        return {
            "@id": UNLICENSED,
            "@type": "CreativeWork",
            "name": "unknown",
            "description": "`experiment.license` of the config is not set.",
        }
    place = chosen.link or f"https://spdx.org/licenses/{chosen.id}"
    return {"@id": place, "@type": "CreativeWork", "name": chosen.id}


def _spdx(name: str) -> Entity:
    place = f"https://spdx.org/licenses/{name}"
    return {"@id": place, "@type": "CreativeWork", "name": name}


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags; write the config, the table, its card, and the crate of all."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.report.release.crate",
        description=__doc__.splitlines()[0],
    )
    for flag in ("results", "checksums", "repository"):
        parser.add_argument(f"--{flag}", type=Path, required=True)
    outputs = ("config", "scores", "card", "output")
    for flag in outputs:
        parser.add_argument(f"--{flag}", type=files.new_file, required=True)
    parser.add_argument("--hparams", required=True)
    flags = parser.parse_args(argv)
    hparams = CratePage.parse(flags.hparams)
    if not (flags.results / "report.html").is_file():
        raise InputError(f"{flags.results}: no report.html, expected a finished run")
    for path in (flags.config, flags.scores, flags.card):
        if not path.resolve().is_relative_to(flags.results.resolve()):
            raise InputError(f"{path}: expected a place below {flags.results}")
    found = provenance.read_runs(flags.results / "finetune")
    if not found:
        raise InputError(f"{flags.results}/finetune: no runs, expected a finished run")
    files.write_text(
        flags.config, shown(yaml.safe_dump(hparams.config, sort_keys=False))
    )
    table.write(found, hparams, flags.scores, flags.card)
    places = (flags.results, flags.checksums, flags.repository)
    made = (flags.config, flags.scores, flags.card)
    files.write_json(flags.output, describe(*places, hparams, made))


if __name__ == "__main__":
    run(main)
