"""Shards in; the weights and the history of each segment of a pretraining out."""


rule rank_kmers:
    """Rank a corpus's k-mers by how much their letters go together (PMI)."""
    input:
        corpus=lambda wildcards: manifests(wildcards.encoder),
    output:
        "<results>/pmi/{encoder}.csv",
    log:
        "<logs>/pmi/{encoder}.log",
    benchmark:
        "<logs>/benchmarks/pmi/{encoder}.tsv"
    priority: 2  # as pretraining, which waits for it
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=4000,
    params:
        hparams=lambda wildcards: flag(encoders.ranking(experiment, wildcards.encoder)),
    shell:
        r"""
        python -m randommask.data.pmi \
            --corpus {input.corpus:q} \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule pretrain:
    """Pretrain an encoder for one segment; resumes from its rolling checkpoints."""
    input:
        corpus=lambda wildcards: manifests(encoders.split(wildcards.segment)[0]),
        start=segment_start,
        origin=lambda wildcards: origins.folder(experiment, wildcards.segment),
        ranks=lambda wildcards: encoders.ranks(
            experiment, *encoders.split(wildcards.segment)
        ),
    output:
        directory("<results>/pretrain/{segment}"),
    log:
        "<logs>/pretrain/{segment}.log",
    benchmark:
        "<logs>/benchmarks/pretrain/{segment}.tsv"
    wildcard_constraints:
        segment=one_of(set(encoders.segment_names(experiment)) - FINISHED.keys()),
    # Segments wait for one another, and nearly everything waits for the last.
    priority: 2
    conda:
        "../../envs/model.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=32000,
    params:
        device=launch.device,
        launcher=launch.launcher,
        processes=launch.processes,
        gpus=launch.gpus_a_node,
        start=lambda wildcards, input: flags.quoted(
            {"from": input.start, "origin": input.origin, "ranks": input.ranks}
        ),
        hparams=segment_hparams,
        tensorboard=subpath(output[0], parent=True),
    shell:
        r"""
        {params.device} {params.launcher} randommask.pretraining \
            --processes {params.processes} --gpus {params.gpus} \
            --corpus {input.corpus:q} \
            {params.start} \
            --hparams {params.hparams:q} \
            --tensorboard {params.tensorboard:q}/tensorboard \
            --output {output:q} >{log:q} 2>&1
        """


rule link_segment:
    """Take a segment that another experiment has finished, by links."""
    output:
        directory("<results>/pretrain/{segment}"),
    log:
        "<logs>/pretrain/{segment}.log",
    wildcard_constraints:
        segment=one_of(FINISHED),
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        source=lambda wildcards: str(FINISHED[wildcards.segment]),
    shell:
        r"""
        python -m randommask.experiment.finished \
            --source {params.source:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule milestone:
    """Give the weights at a milestone a name of their own."""
    input:
        lambda wildcards: f"<results>/pretrain/{MILESTONES[wildcards.milestone]}",
    output:
        directory("<results>/pretrain/{milestone}"),
    log:
        "<logs>/pretrain/{milestone}.log",
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        step=lambda wildcards: wildcards.milestone.rpartition("/")[2],
    shell:
        r"""
        python -m randommask.encoders.folder \
            --source {input:q}/milestones/{params.step:q} \
            --output {output:q} >{log:q} 2>&1
        """
