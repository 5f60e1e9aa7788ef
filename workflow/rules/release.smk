"""An encoder to publish: weights, model card, scores and the predictions behind them."""


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
