"""Ablations: groups of encoders from the config, compared; each answers a question."""


rule ablations:
    """Every group of the config."""
    input:
        expand("<results>/ablations/{ablation}.csv", ablation=GROUPS),
    localrule: True


rule ablation:
    """Answer one group's question: scores, losses, embeddings, attention, hours."""
    input:
        ablation_inputs,
        datasets=DATASETS_LIST,
    output:
        csv=report(
            "<results>/ablations/{ablation}.csv",
            caption="../report/ablation.rst",
            category="Ablations",
            labels={"group": "{ablation}", "as": "table"},
        ),
        md="<results>/ablations/{ablation}.md",
        tex="<results>/ablations/{ablation}.tex",
        png=report(
            "<results>/ablations/{ablation}.png",
            caption="../report/ablation.rst",
            category="Ablations",
            labels={"group": "{ablation}", "as": "figure"},
        ),
        pdf="<results>/ablations/{ablation}.pdf",
    log:
        "<logs>/ablations/{ablation}.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        results=subpath(output.csv, ancestor=2),
        logs=LOGS,
        partial=PARTIAL,
        hparams=lambda wildcards: page_flag(
            ablations.page(experiment, wildcards.ablation)
        ),
    shell:
        r"""
        python -m randommask.report.ablations \
            --results {params.results:q} \
            --logs {params.logs:q} \
            --datasets {input.datasets:q} \
            --hparams {params.hparams:q} {params.partial} \
            --csv {output.csv:q} \
            --md {output.md:q} \
            --tex {output.tex:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} >{log:q} 2>&1
        """
