"""An encoder and a dataset in; the scores and predictions of one run out."""


rule finetune:
    """Fine-tune an encoder on one dataset; test at the best epoch on dev."""
    input:
        encoder="<results>/encoders/{encoder}",
        train="<results>/benchmark/{dataset}/train.parquet",
        dev="<results>/benchmark/{dataset}/dev.parquet",
        test="<results>/benchmark/{dataset}/test.parquet",
        summary="<results>/benchmark/{dataset}/summary.json",
    output:
        metrics=of_seeds(f"{RUN}/metrics.json"),
        predictions=of_seeds(f"{RUN}/predictions.parquet"),
        history=of_seeds(f"{RUN}/history.csv"),
    log:
        f"<logs>/finetune/{{encoder}}/{{tokenization}}/{{dataset}}/{SEEDS}.log",
    benchmark:
        f"<logs>/benchmarks/finetune/{{encoder}}/{{tokenization}}/{{dataset}}/{SEEDS}.tsv"
    wildcard_constraints:
        encoder=one_of([*OURS, *TAKEN, *RELEASED, *UNTRAINED]),
    conda:
        "../../envs/model.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=16000,
    params:
        device=launch.device,
        gpus=launch.gpus_a_node,
        data=subpath(input.summary, parent=True),
        hparams=cell_hparams,
        seeds=seeds_flag,
    shell:
        r"""
        {params.device} python -m randommask.finetuning \
            --gpus {params.gpus} \
            --encoder {input.encoder:q} \
            --data {params.data:q} \
            --hparams {params.hparams:q} \
            --seeds {params.seeds} \
            --metrics {output.metrics:q} \
            --predictions {output.predictions:q} \
            --history {output.history:q} >{log:q} 2>&1
        """


rule model:
    """The fine-tuned weights of a cell's first seed: the same run again, kept."""
    input:
        encoder="<results>/encoders/{encoder}",
        train="<results>/benchmark/{dataset}/train.parquet",
        dev="<results>/benchmark/{dataset}/dev.parquet",
        test="<results>/benchmark/{dataset}/test.parquet",
        summary="<results>/benchmark/{dataset}/summary.json",
    output:
        directory("<results>/models/{encoder}/{tokenization}/{dataset}"),
    log:
        "<logs>/models/{encoder}/{tokenization}/{dataset}.log",
    wildcard_constraints:
        encoder=one_of([*OURS, *TAKEN, *RELEASED, *UNTRAINED]),
    conda:
        "../../envs/model.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=16000,
    params:
        device=launch.device,
        gpus=launch.gpus_a_node,
        data=subpath(input.summary, parent=True),
        hparams=finetuning_hparams,
    shell:
        r"""
        {params.device} python -m randommask.finetuning \
            --gpus {params.gpus} \
            --encoder {input.encoder:q} \
            --data {params.data:q} \
            --hparams {params.hparams:q} \
            --model {output:q} >{log:q} 2>&1
        """
