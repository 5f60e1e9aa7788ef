"""Ablations: groups of rows from the config, compared on the datasets they name."""


rule ablation:
    """Compare the encoders of one group."""
    input:
        runs=lambda wildcards: runs_of(config["ablations"][wildcards.ablation]),
        datasets=config["benchmark"]["datasets"],
        published="config/published/table3.csv",
    output:
        csv="<results>/ablations/{ablation}.csv",
        averages="<results>/ablations/{ablation}_averages.csv",
        md="<results>/ablations/{ablation}.md",
        tex="<results>/ablations/{ablation}.tex",
    log:
        "<logs>/ablations/{ablation}.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        results=subpath(output.csv, ancestor=2),
        partial=PARTIAL,
        hparams=lambda wildcards: rows_of(
            config["ablations"][wildcards.ablation],
            title=f"Ablation: {wildcards.ablation}",
            controls=CONTROLS,
        ),
    shell:
        r"""
        python -m randommask.tables table3 \
            --runs {params.results:q}/finetune \
            --datasets {input.datasets:q} \
            --published {input.published:q} \
            --hparams {params.hparams:q} {params.partial} \
            --csv {output.csv:q} \
            --averages {output.averages:q} \
            --md {output.md:q} \
            --tex {output.tex:q} >{log:q} 2>&1
        """
