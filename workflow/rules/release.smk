"""Publishing: an encoder with its recipe, its scores and the predictions behind them."""

from randommask.experiment import releases as release_plan


rule release:
    """Make a folder to publish: weights, tokenizer, model card, recipe, scores, sums."""
    input:
        # a run's predictions are published with its metrics: those there are, if partial
        runs=lambda wildcards: expand(
            "{run}/{file}",
            run=[
                os.path.dirname(metrics)
                for table in release_plan.tables(config, wildcards.encoder)
                for metrics in runs_of(table)
            ],
            file=release_plan.RUN,
        ),
        encoder="<results>/encoders/{encoder}",
        pretrained=lambda wildcards: "<results>/pretrain/"
        + release_plan.history(config, wildcards.encoder),
        datasets=config["benchmark"]["datasets"],
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
        hparams=lambda wildcards: json.dumps(
            {**EXPERIMENT, **release_plan.page(config, wildcards.encoder)}
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
