"""Published benchmarks in; one form for all 28 datasets out."""


rule download_gue:
    """Bring in the GUE benchmark: 27 of the 28 datasets."""
    input:
        local=local_source("gue"),
    output:
        directory("<resources>/gue"),
    log:
        "<logs>/download/gue.log",
    benchmark:
        "<logs>/benchmarks/download/gue.tsv"
    localrule: True
    conda:
        "../../envs/model.yaml"
    resources:
        mirrors=MIRRORS,
    params:
        checksums=CHECKSUMS,
        name="gue",
        spec=lambda wildcards: source_spec("gue"),
    shell:
        r"""
        python -m randommask.data.download \
            --name {params.name} \
            --hparams {params.spec:q} \
            --checksums {params.checksums:q} \
            --mirrors {resources.mirrors:q} \
            --output {output:q} 2>&1 | tee {log:q} >&2
        """


use rule download_gue as download_deepstarr with:
    """Bring in DeepSTARR: the sequences and activities of the 28th dataset."""
    input:
        local=local_source("deepstarr"),
    output:
        directory("<resources>/deepstarr"),
    log:
        "<logs>/download/deepstarr.log",
    benchmark:
        "<logs>/benchmarks/download/deepstarr.tsv"
    params:
        checksums=CHECKSUMS,
        name="deepstarr",
        spec=lambda wildcards: source_spec("deepstarr"),


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
    benchmark:
        "<logs>/benchmarks/benchmark/{dataset}.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        datasets=DATASETS_LIST,
    params:
        folder=subpath(output.summary, parent=True),
        hparams=lambda wildcards: json.dumps(runs.preparation(config)),
        row=lambda wildcards: prepared_row(wildcards.dataset),
    shell:
        r"""
        python -m randommask.data.prepare \
            --source {input.source:q} \
            --datasets {resources.datasets:q} \
            --dataset {wildcards.dataset} \
            --hparams {params.hparams:q} \
            --output {params.folder:q} >{log:q} 2>&1
        """
