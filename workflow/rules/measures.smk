"""Encoders and datasets in; what is measured on them out, before any table."""


rule embed:
    """Map the k-mer embeddings to the plane at each milestone and measure their order."""
    input:
        lambda wildcards: expand(
            "<results>/pretrain/{checkpoint}",
            checkpoint=encoders.lineage(experiment, wildcards.encoder),
        ),
    output:
        csv="<results>/figures/embeddings/{encoder}.csv",
        purity="<results>/figures/embeddings/{encoder}.purity.csv",
    log:
        "<logs>/figures/embeddings/{encoder}.log",
    benchmark:
        "<logs>/benchmarks/figures/embeddings/{encoder}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 2
    params:
        hparams=lambda wildcards: flag(
            encoders.embedding(experiment, wildcards.encoder)
        ),
    shell:
        r"""
        python -m randommask.measures.embeddings \
            --checkpoints {input:q} \
            --hparams {params.hparams:q} \
            --csv {output.csv:q} \
            --purity {output.purity:q} >{log:q} 2>&1
        """


rule purity:
    """Measure how an encoder's embeddings keep to their central nucleotides."""
    input:
        "<results>/encoders/{encoder}",
    output:
        "<results>/figures/purity/{encoder}.csv",
    log:
        "<logs>/figures/purity/{encoder}.log",
    benchmark:
        "<logs>/benchmarks/figures/purity/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of([*OURS, *TAKEN]),
    conda:
        "../../envs/report.yaml"
    params:
        hparams=lambda wildcards: flag(
            encoders.embedding(
                experiment,
                wildcards.encoder,
                ablations.weights(experiment, wildcards.encoder)[1],
            )
        ),
    shell:
        r"""
        python -m randommask.measures.embeddings \
            --checkpoints {input:q} \
            --hparams {params.hparams:q} \
            --purity {output:q} >{log:q} 2>&1
        """


rule attend:
    """Average an encoder's attention over heads and validation windows."""
    input:
        encoder="<results>/encoders/{encoder}",
        corpus=lambda wildcards: manifests(wildcards.encoder),
    output:
        npz="<results>/figures/attention/{encoder}.npz",
        csv="<results>/figures/attention/{encoder}.csv",
    log:
        "<logs>/figures/attention/{encoder}.log",
    benchmark:
        "<logs>/benchmarks/figures/attention/{encoder}.tsv"
    conda:
        "../../envs/model.yaml"
    params:
        hparams=lambda wildcards: flag(
            encoders.attending(experiment, wildcards.encoder)
        ),
    shell:
        r"""
        python -m randommask.measures.attention \
            --encoder {input.encoder:q} \
            --corpus {input.corpus:q} \
            --hparams {params.hparams:q} \
            --npz {output.npz:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule observations:
    """Measure the paper's three observations on our own encoders."""
    input:
        unpack(lambda wildcards: pages.figure_files(experiment, "observations")),
        table2="<results>/tables/table2.csv",
    output:
        csv=report(
            "<results>/tables/observations.csv",
            caption="../report/observations.rst",
            category="Tables",
            labels={"table": "observations"},
        ),
        md="<results>/tables/observations.md",
    log:
        "<logs>/tables/observations.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        files=lambda wildcards, input: pages.figure_flags(
            experiment, "observations", input
        ),
        hparams=lambda wildcards: page_flag(
            pages.figure_hparams(experiment, "observations")
        ),
    shell:
        r"""
        python -m randommask.report.tables.observations {params.files} \
            --hparams {params.hparams:q} \
            --csv {output.csv:q} \
            --md {output.md:q} >{log:q} 2>&1
        """


rule leaks:
    """Find a dataset's rows that leak between splits, and labels that a rule finds."""
    input:
        train="<results>/benchmark/{dataset}/train.parquet",
        dev="<results>/benchmark/{dataset}/dev.parquet",
        test="<results>/benchmark/{dataset}/test.parquet",
        summary="<results>/benchmark/{dataset}/summary.json",
    output:
        "<results>/benchmark/{dataset}/leaks.json",
    log:
        "<logs>/benchmark/{dataset}.leaks.log",
    benchmark:
        "<logs>/benchmarks/benchmark/{dataset}.leaks.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=6000,
    params:
        data=subpath(input.summary, parent=True),
    shell:
        r"""
        python -m randommask.data.leaks \
            --data {params.data:q} \
            --output {output:q} >{log:q} 2>&1
        """
