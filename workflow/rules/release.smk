"""What is published: an encoder with its scores; a finished run, described for programs."""


rule release:
    """Make a folder to publish: weights, tokenizer, model card, recipe, scores, sums."""
    input:
        runs=published_runs,
        encoder="<results>/encoders/{encoder}",
        pretrained=lambda wildcards: "<results>/pretrain/"
        + releases.history(experiment, wildcards.encoder),
        datasets=DATASETS_LIST,
    output:
        directory("<results>/release/{encoder}"),
    log:
        "<logs>/release/{encoder}.log",
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        partial=PARTIAL,
        hparams=lambda wildcards: page_flag(
            releases.page(experiment, wildcards.encoder)
        ),
    shell:
        r"""
        python -m randommask.report.release \
            --encoder {input.encoder:q} \
            --pretrained {input.pretrained:q} \
            --runs {params.results:q}/finetune \
            --datasets {input.datasets:q} \
            --hparams {params.hparams:q} {params.partial} \
            --output {output:q} >{log:q} 2>&1
        """


rule crate:
    """Describe a finished run as an RO-Crate, with the scores of its runs as one table."""
    input:
        "<results>/report.html",
    output:
        metadata="<results>/ro-crate-metadata.json",
        config="<results>/config.yaml",
        scores="<results>/scores/scores.parquet",
        card="<results>/scores/README.md",
    log:
        "<logs>/crate.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        # provenance is read when the crate is made, as the report's is
        results=subpath(output.metadata, parent=True),
        checksums=CHECKSUMS,
        repository=SOURCE,
        hparams=lambda wildcards: page_flag(pages.crate_hparams(experiment, config)),
    shell:
        r"""
        python -m randommask.report.release.crate \
            --results {params.results:q} \
            --checksums {params.checksums:q} \
            --repository {params.repository:q} \
            --hparams {params.hparams:q} \
            --config {output.config:q} \
            --scores {output.scores:q} \
            --card {output.card:q} \
            --output {output.metadata:q} >{log:q} 2>&1
        """
