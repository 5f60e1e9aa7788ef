"""Encoders to fine-tune: pretrained here or elsewhere, or of random weights."""


use rule download_genome as download_encoder with:
    """Bring in a released encoder: its published bytes, or links to a local copy."""
    input:
        local=lambda wildcards: released(wildcards.released).get("path", []),
    output:
        directory("<resources>/encoders/{released}"),
    log:
        "<logs>/download/encoders/{released}.log",
    cache: "omit-software"
    params:
        checksums=CHECKSUMS,
        name=source_name,
        mirrors=mirrors,
        spec=lambda wildcards: flag(encoders.released(experiment, wildcards.released)),


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
        hparams=lambda wildcards: flag(
            {"family": released(wildcards.released)["family"]}
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
        weights_of,
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
        hparams=lambda wildcards: flag(
            encoders.initial(experiment, wildcards.untrained)
        ),
    shell:
        r"""
        python -m randommask.encoders.untrained \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """
