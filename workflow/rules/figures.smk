"""Checkpoints, histories and data in; figures and the numbers behind them out."""


rule embed:
    """Map the k-mer embeddings to the plane at each milestone and measure their order."""
    input:
        lambda wildcards: expand(
            "<results>/pretrain/{checkpoint}",
            checkpoint=encoders.lineage(config, wildcards.encoder),
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
        hparams=lambda wildcards: json.dumps(
            {
                "encoder": wildcards.encoder,
                "steps": [
                    encoders.split(checkpoint)[1]
                    for checkpoint in encoders.lineage(config, wildcards.encoder)
                ],
                **config["figures"]["tsne"],
            }
        ),
    shell:
        r"""
        python -m randommask.measures.embeddings \
            --checkpoints {input:q} \
            --hparams {params.hparams:q} \
            --csv {output.csv:q} \
            --purity {output.purity:q} >{log:q} 2>&1
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
        hparams=lambda wildcards: json.dumps(
            {
                "encoder": wildcards.encoder,
                "held_out": encoders.merged(config, wildcards.encoder)["held_out"],
                **config["figures"]["attention"],
            }
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


rule figure1:
    """Draw how sequences are tokenized and masked."""
    output:
        png="<results>/figures/fig1.png",
        pdf="<results>/figures/fig1.pdf",
        csv="<results>/figures/fig1.csv",
    log:
        "<logs>/figures/fig1.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        hparams=lambda wildcards: figure_hparams(
            sequence="ATGACGTTCAGGCTAACGTACTGA",
            k=config["pretrain"]["k"],
            max_span=encoders.phases(config, config["roles"]["randommask"])[-1][
                "max_span"
            ],
            seed=1,
        ),
    shell:
        r"""
        python -m randommask.report.figures fig1 \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule figure2:
    """Draw the k-mer embeddings at each milestone above the loss."""
    input:
        files_of(
            by_role("<results>/figures/embeddings/{encoder}.csv", SPACES),
            by_role("<results>/figures/embeddings/{encoder}.purity.csv", SPACES),
        ),
        segments=[last_segment(config["roles"][role]) for role in SPACES],
    output:
        png="<results>/figures/fig2.png",
        pdf="<results>/figures/fig2.pdf",
        csv="<results>/figures/fig2.csv",
    log:
        "<logs>/figures/fig2.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        embeddings=resolved(
            by_role("<results>/figures/embeddings/{encoder}.csv", SPACES)
        ),
        purity=resolved(
            by_role("<results>/figures/embeddings/{encoder}.purity.csv", SPACES)
        ),
        history=resolved(histories(SPACES)),
        hparams=lambda wildcards: figure_hparams(),
    shell:
        r"""
        python -m randommask.report.figures fig2 \
            --embeddings {params.embeddings:q} \
            --purity {params.purity:q} \
            --history {params.history:q} \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule figure3:
    """Draw the baseline's embeddings at the end, its clusters named."""
    input:
        files_of(
            by_role("<results>/figures/embeddings/{encoder}.csv", ["baseline"]),
            by_role("<results>/figures/embeddings/{encoder}.purity.csv", ["baseline"]),
        ),
    output:
        png="<results>/figures/fig3.png",
        pdf="<results>/figures/fig3.pdf",
        csv="<results>/figures/fig3.csv",
    log:
        "<logs>/figures/fig3.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        embeddings=resolved(
            by_role("<results>/figures/embeddings/{encoder}.csv", ["baseline"])
        ),
        purity=resolved(
            by_role("<results>/figures/embeddings/{encoder}.purity.csv", ["baseline"])
        ),
        hparams=lambda wildcards: figure_hparams(),
    shell:
        r"""
        python -m randommask.report.figures fig3 \
            --embeddings {params.embeddings:q} \
            --purity {params.purity:q} \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule figure4:
    """Draw the attention maps of each layer."""
    input:
        files_of(
            by_role("<results>/figures/attention/{encoder}.npz", MAPS),
            by_role("<results>/figures/attention/{encoder}.csv", MAPS),
        ),
    output:
        png="<results>/figures/fig4.png",
        pdf="<results>/figures/fig4.pdf",
        csv="<results>/figures/fig4.csv",
    log:
        "<logs>/figures/fig4.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        attention=resolved(by_role("<results>/figures/attention/{encoder}.npz", MAPS)),
        summary=resolved(by_role("<results>/figures/attention/{encoder}.csv", MAPS)),
        hparams=lambda wildcards: figure_hparams(),
    shell:
        r"""
        python -m randommask.report.figures fig4 \
            --attention {params.attention:q} \
            --summary {params.summary:q} \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule figure5:
    """Draw the loss of every encoder with its phases and their bounds."""
    input:
        [
            last_segment(config["roles"][role])
            for role in CURVES
            if role in config["roles"]
        ],
    output:
        png="<results>/figures/fig5.png",
        pdf="<results>/figures/fig5.pdf",
        csv="<results>/figures/fig5.csv",
    log:
        "<logs>/figures/fig5.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        history=resolved(histories(CURVES)),
        hparams=lambda wildcards: figure_hparams(),
    shell:
        r"""
        python -m randommask.report.figures fig5 \
            --history {params.history:q} \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule figure_datasets:
    """Draw what the benchmark holds: a line a data set, six panels."""
    input:
        "<results>/tables/datasets.csv",
    output:
        png="<results>/figures/datasets.png",
        pdf="<results>/figures/datasets.pdf",
        csv="<results>/figures/datasets.csv",
    log:
        "<logs>/figures/datasets.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        hparams=lambda wildcards: figure_hparams(),
    shell:
        r"""
        python -m randommask.report.figures datasets \
            --table {input:q} \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule ranks:
    """Draw the mean rank of each row of Table 3."""
    input:
        "<results>/tables/table3.csv",
    output:
        png="<results>/figures/ranks.png",
        pdf="<results>/figures/ranks.pdf",
        csv="<results>/figures/ranks.csv",
    log:
        "<logs>/figures/ranks.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        hparams=lambda wildcards: figure_hparams(roles=config["roles"]),
    shell:
        r"""
        python -m randommask.report.figures ranks \
            --table {input:q} \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """
