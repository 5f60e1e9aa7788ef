"""Ablations: groups of encoders from the config, compared; each answers a question."""

from randommask.experiment import ablations as ablation_plan

GROUPS = config.get("ablations", {})


rule ablations:
    """Every group of the config."""
    input:
        expand("<results>/ablations/{ablation}.csv", ablation=GROUPS),
    localrule: True


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
        hparams=lambda wildcards: json.dumps(
            {
                "encoder": wildcards.encoder,
                "steps": [ablation_plan.weights(config, wildcards.encoder)[1]],
                **config["figures"]["tsne"],
            }
        ),
    shell:
        r"""
        python -m randommask.measures.embeddings \
            --checkpoints {input:q} \
            --hparams {params.hparams:q} \
            --purity {output:q} >{log:q} 2>&1
        """


rule ablation:
    """Answer one group's question: scores, losses, embeddings, attention, hours."""
    input:
        lambda wildcards: there(
            f"<results>/{file}"
            for file in ablation_plan.measured(config, GROUPS[wildcards.ablation])
        ),
        runs=lambda wildcards: runs_of(GROUPS[wildcards.ablation]),
        datasets=config["benchmark"]["datasets"],
    output:
        csv="<results>/ablations/{ablation}.csv",
        md="<results>/ablations/{ablation}.md",
        tex="<results>/ablations/{ablation}.tex",
        png="<results>/ablations/{ablation}.png",
        pdf="<results>/ablations/{ablation}.pdf",
    log:
        "<logs>/ablations/{ablation}.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        results=subpath(output.csv, ancestor=2),
        logs=config["pathvars"]["logs"],
        partial=PARTIAL,
        hparams=lambda wildcards: json.dumps(
            {**EXPERIMENT, **ablation_plan.page(config, wildcards.ablation)}
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
