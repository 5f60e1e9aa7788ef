"""Publishing: an encoder with its recipe, its scores and the predictions behind them."""

from randommask.ablation.plan import pretraining
from randommask.release import plan as release_plan


rule release:
    """Make a folder to publish: weights, tokenizer, model card, recipe, scores, sums."""
    input:
        runs=lambda wildcards: runs_of(release_plan.table(config, wildcards.encoder)),
        encoder="<results>/encoders/{encoder}",
        pretrained=lambda wildcards: "<results>/pretrain/"
        + pretraining(config, wildcards.encoder)["kept"],
        datasets=config["benchmark"]["datasets"],
    output:
        directory("<results>/release/{encoder}"),
    log:
        "<logs>/release/{encoder}.log",
    wildcard_constraints:
        encoder=one_of([*OURS, *TAKEN]),
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        hparams=lambda wildcards: json.dumps(
            {**EXPERIMENT, **release_plan.page(config, wildcards.encoder)}
        ),
    shell:
        r"""
        python -m randommask.release \
            --encoder {input.encoder:q} \
            --pretrained {input.pretrained:q} \
            --runs {params.results:q}/finetune \
            --datasets {input.datasets:q} \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """
