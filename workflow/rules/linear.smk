"""A dataset in; the scores of what trains no encoder out: a probe, the controls."""


rule probe:
    """A linear model on an encoder's mean embeddings; no weight of it is trained."""
    input:
        encoder=lambda wildcards: "<results>/encoders/{}".format(
            experiment.encoders[wildcards.encoder].probe.encoder
        ),
        train="<results>/benchmark/{dataset}/train.parquet",
        dev="<results>/benchmark/{dataset}/dev.parquet",
        test="<results>/benchmark/{dataset}/test.parquet",
        summary="<results>/benchmark/{dataset}/summary.json",
    output:
        metrics="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/metrics.json",
        predictions="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/predictions.parquet",
        history="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/history.csv",
    log:
        "<logs>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}.log",
    benchmark:
        "<logs>/benchmarks/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}.tsv"
    wildcard_constraints:
        encoder=one_of(PROBES),
    conda:
        "../../envs/model.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=16000,
    params:
        device=launch.device,
        data=subpath(input.summary, parent=True),
        hparams=finetuning_hparams,
    shell:
        r"""
        {params.device} python -m randommask.finetuning.probe \
            --encoder {input.encoder:q} \
            --data {params.data:q} \
            --hparams {params.hparams:q} \
            --metrics {output.metrics:q} \
            --predictions {output.predictions:q} \
            --history {output.history:q} >{log:q} 2>&1
        """


rule kmer_linear:
    """A control: a linear model of k-mer counts, chosen on dev; seeds change nothing."""
    input:
        train="<results>/benchmark/{dataset}/train.parquet",
        dev="<results>/benchmark/{dataset}/dev.parquet",
        test="<results>/benchmark/{dataset}/test.parquet",
        summary="<results>/benchmark/{dataset}/summary.json",
    output:
        metrics="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/metrics.json",
        predictions="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/predictions.parquet",
        history="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/history.csv",
    log:
        "<logs>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}.log",
    benchmark:
        "<logs>/benchmarks/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}.tsv"
    wildcard_constraints:
        encoder=one_of(KMER_LINEAR),
        tokenization="overlapping",
    conda:
        "../../envs/model.yaml"
    threads: 4
    resources:
        mem_mb=8000,
    params:
        data=subpath(input.summary, parent=True),
        hparams=finetuning_hparams,
    shell:
        r"""
        python -m randommask.finetuning.kmer_linear \
            --data {params.data:q} \
            --hparams {params.hparams:q} \
            --metrics {output.metrics:q} \
            --predictions {output.predictions:q} \
            --history {output.history:q} >{log:q} 2>&1
        """


rule no_model:
    """A control: the best on dev of rules without a model; seeds change nothing."""
    input:
        train="<results>/benchmark/{dataset}/train.parquet",
        dev="<results>/benchmark/{dataset}/dev.parquet",
        test="<results>/benchmark/{dataset}/test.parquet",
        summary="<results>/benchmark/{dataset}/summary.json",
    output:
        metrics="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/metrics.json",
        predictions="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/predictions.parquet",
        history="<results>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}/history.csv",
    log:
        "<logs>/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}.log",
    benchmark:
        "<logs>/benchmarks/finetune/{encoder}/{tokenization}/{dataset}/seed{seed}.tsv"
    wildcard_constraints:
        encoder=one_of(NO_MODEL),
        tokenization="character",
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=8000,
    params:
        data=subpath(input.summary, parent=True),
        hparams=finetuning_hparams,
    shell:
        r"""
        python -m randommask.finetuning.no_model \
            --data {params.data:q} \
            --hparams {params.hparams:q} \
            --metrics {output.metrics:q} \
            --predictions {output.predictions:q} \
            --history {output.history:q} >{log:q} 2>&1
        """
