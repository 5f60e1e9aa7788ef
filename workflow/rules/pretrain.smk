"""Shards in; encoders out, one job a segment of their pretraining."""


rule pretrain:
    """Pretrain an encoder for one segment; resumes from its rolling checkpoints."""
    input:
        corpus=lambda wildcards: manifests(encoders.split(wildcards.segment)[0]),
        start=segment_start,
    output:
        directory("<results>/pretrain/{segment}"),
    log:
        "<logs>/pretrain/{segment}.log",
    benchmark:
        "<logs>/benchmarks/pretrain/{segment}.tsv"
    conda:
        "../../envs/model.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=32000,
    params:
        device=device,
        launcher=launcher,
        processes=processes,
        gpus=lambda wildcards, resources: gpus_a_node(resources),
        start=starting_flag,
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


rule download_encoder:
    """Bring in a released encoder: its published bytes, or links to a local copy."""
    input:
        local=lambda wildcards: released_copy(wildcards.released),
    output:
        directory("<resources>/encoders/{released}"),
    log:
        "<logs>/download/encoders/{released}.log",
    localrule: True
    conda:
        "../../envs/model.yaml"
    resources:
        mirrors=MIRRORS,
    params:
        checksums=CHECKSUMS,
        spec=lambda wildcards: json.dumps(encoders.released(config, wildcards.released)),
    shell:
        r"""
        python -m randommask.data.download \
            --name encoders/{wildcards.released} \
            --hparams {params.spec:q} \
            --checksums {params.checksums:q} \
            --mirrors {resources.mirrors:q} \
            --output {output:q} 2>&1 | tee {log:q} >&2
        """


rule convert_encoder:
    """A released encoder in the folder format of ours, every weight accounted for."""
    input:
        "<resources>/encoders/{released}",
    output:
        directory("<results>/encoders/{released}"),
    log:
        "<logs>/encoders/{released}.log",
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=16000,
    params:
        hparams=lambda wildcards: json.dumps(
            {"family": config["encoders"][wildcards.released]["released"]["family"]}
        ),
    shell:
        r"""
        python -m randommask.encoders.released \
            --source {input:q} \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule encoder:
    """The encoder to fine-tune: the weights at the end of a pretraining, or before."""
    input:
        lambda wildcards: weights_of(wildcards.encoder),
    output:
        directory("<results>/encoders/{encoder}"),
    log:
        "<logs>/encoders/{encoder}.log",
    wildcard_constraints:
        encoder=one_of([*OURS, *TAKEN]),
    localrule: True
    conda:
        "../../envs/model.yaml"
    shell:
        r"""
        python -m randommask.encoders.folder \
            --source {input:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule initialise:
    """A control: random weights, as pretraining would start from them."""
    output:
        directory("<results>/encoders/{untrained}"),
    log:
        "<logs>/encoders/{untrained}.log",
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        hparams=lambda wildcards: json.dumps(
            encoders.initial(config, wildcards.untrained)
        ),
    shell:
        r"""
        python -m randommask.encoders.untrained \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """
