"""Genomes and benchmarks in; one shard a chromosome and one form for all datasets out."""

if experiment.synthetic:

    rule synthesize:
        """A made world from one seed: a genome, the GUE sets and DeepSTARR, as published."""
        output:
            genome=directory("<results>/world/genome"),
            gue=directory("<results>/world/GUE"),
            deepstarr=directory("<results>/world/DeepSTARR"),
        log:
            "<logs>/world.log",
        benchmark:
            "<logs>/benchmarks/world.tsv"
        conda:
            "../../envs/model.yaml"
        params:
            rows=runs.made_rows(read_datasets(DATASETS_LIST)),
            datasets=datasets_list,
            hparams=lambda wildcards: flag(experiment.synthetic),
        shell:
            r"""
            python -m randommask.data.world \
                --datasets {params.datasets:q} \
                --hparams {params.hparams:q} \
                --genome {output.genome:q} \
                --gue {output.gue:q} \
                --deepstarr {output.deepstarr:q} >{log:q} 2>&1
            """


rule download_genome:
    """Bring in one genome: its published bytes, or links to a local copy."""
    input:
        local=lambda wildcards: source(wildcards.genome).get("path", []),
    output:
        directory("<resources>/{genome}"),
    log:
        "<logs>/download/{genome}.log",
    # With `--cache`, folders of work share what is fetched and prepared; Snakemake then
    # allows no `benchmark:`. Not the shards, of which the manifest alone is declared.
    cache: "omit-software"
    priority: 2  # as pretraining, which waits for it
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        checksums=CHECKSUMS,
        name=source_name,
        mirrors=mirrors,
        spec=lambda wildcards: flag(source(wildcards.genome)),
    shell:
        r"""
        python -m randommask.data.download \
            --name {params.name:q} \
            --hparams {params.spec:q} \
            --checksums {params.checksums:q} \
            --mirrors {params.mirrors:q} \
            --output {output:q} 2>&1 | tee {log:q} >&2
        """


use rule download_genome as download_gue with:
    """Bring in the GUE benchmark: 27 of the 28 datasets."""
    input:
        local=source("gue").get("path", []),
    output:
        directory("<resources>/gue"),
    log:
        "<logs>/download/gue.log",
    cache: "omit-software"
    params:
        checksums=CHECKSUMS,
        name="gue",
        mirrors=mirrors,
        spec=lambda wildcards: flag(source("gue")),


use rule download_genome as download_deepstarr with:
    """Bring in DeepSTARR: the sequences and activities of the 28th dataset."""
    input:
        local=source("deepstarr").get("path", []),
    output:
        directory("<resources>/deepstarr"),
    log:
        "<logs>/download/deepstarr.log",
    cache: "omit-software"
    params:
        checksums=CHECKSUMS,
        name="deepstarr",
        mirrors=mirrors,
        spec=lambda wildcards: flag(source("deepstarr")),


rule resources:
    """Everything that `all` needs from elsewhere: no other job uses the network."""
    input:
        collect("<resources>/{place}", place=runs.resources(experiment)),
    localrule: True


rule tokenize:
    """Turn a genome's chromosomes into shards of nucleotide codes."""
    input:
        genome="<resources>/{genome}",
    output:
        manifest="<results>/corpus/{genome}/manifest.json",
    log:
        "<logs>/corpus/{genome}.log",
    benchmark:
        "<logs>/benchmarks/corpus/{genome}.tsv"
    priority: 2  # as pretraining, which waits for it
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=4000,
    params:
        folder=subpath(output.manifest, parent=True),
        hparams=lambda wildcards: flag(runs.tokenizing(experiment, wildcards.genome)),
    shell:
        r"""
        python -m randommask.data.shards \
            --source {input.genome:q} \
            --hparams {params.hparams:q} \
            --output {params.folder:q} >{log:q} 2>&1
        """


rule prepare:
    """Check one dataset and write it as train, dev and test tables with a summary."""
    input:
        own=lambda wildcards: runs.own_files(DATASETS[wildcards.dataset]),
        source=rows_from,
    output:
        train="<results>/benchmark/{dataset}/train.parquet",
        dev="<results>/benchmark/{dataset}/dev.parquet",
        test="<results>/benchmark/{dataset}/test.parquet",
        summary="<results>/benchmark/{dataset}/summary.json",
    log:
        "<logs>/benchmark/{dataset}.log",
    cache: True
    conda:
        "../../envs/model.yaml"
    params:
        folder=subpath(output.summary, parent=True),
        datasets=datasets_list,
        hparams=lambda wildcards: flag(runs.preparation(experiment)),
        row=lambda wildcards: runs.prepared_row(DATASETS[wildcards.dataset]),
    shell:
        r"""
        python -m randommask.data.prepare \
            --source {input.source:q} \
            --datasets {params.datasets:q} \
            --dataset {wildcards.dataset:q} \
            --hparams {params.hparams:q} \
            --output {params.folder:q} >{log:q} 2>&1
        """
