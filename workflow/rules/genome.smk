"""Genomes in; nucleotide codes out, one shard a chromosome."""

if "synthetic" in config:

    rule synthesize:
        """A made world from one seed: a genome, the GUE sets and DeepSTARR, as published."""
        output:
            genome=directory("<results>/world/genome"),
            gue=directory("<results>/world/GUE"),
            deepstarr=directory("<results>/world/DeepSTARR"),
        log:
            "<logs>/world.log",
        benchmark:
            "<logs>/benchmarks/world.tsv"
        conda:
            "../../envs/model.yaml"
        resources:
            datasets=DATASETS_LIST,
        params:
            rows=made_rows(),
            hparams=lambda wildcards: json.dumps(config["synthetic"]),
        shell:
            r"""
            python -m randommask.data.world \
                --datasets {resources.datasets:q} \
                --hparams {params.hparams:q} \
                --genome {output.genome:q} \
                --gue {output.gue:q} \
                --deepstarr {output.deepstarr:q} >{log:q} 2>&1
            """


rule download_genome:
    """Bring in one genome: its published bytes, or links to a local copy."""
    input:
        local=lambda wildcards: local_source(wildcards.genome),
    output:
        directory("<resources>/{genome}"),
    log:
        "<logs>/download/{genome}.log",
    benchmark:
        "<logs>/benchmarks/download/{genome}.tsv"
    localrule: True
    conda:
        "../../envs/model.yaml"
    resources:
        mirrors=MIRRORS,
    params:
        checksums=CHECKSUMS,
        spec=lambda wildcards: source_spec(wildcards.genome),
    shell:
        r"""
        python -m randommask.data.download \
            --name {wildcards.genome} \
            --hparams {params.spec:q} \
            --checksums {params.checksums:q} \
            --mirrors {resources.mirrors:q} \
            --output {output:q} 2>&1 | tee {log:q} >&2
        """


rule resources:
    """Everything that `all` needs from elsewhere: no other job uses the network."""
    input:
        collect("<resources>/{place}", place=runs.resources(config)),
    localrule: True


rule tokenize:
    """Turn a genome's chromosomes into shards of nucleotide codes."""
    input:
        genome="<resources>/{genome}",
    output:
        manifest="<results>/corpus/{genome}/manifest.json",
    log:
        "<logs>/corpus/{genome}.log",
    benchmark:
        "<logs>/benchmarks/corpus/{genome}.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=4000,
    params:
        folder=subpath(output.manifest, parent=True),
        hparams=lambda wildcards: json.dumps(
            {
                "genome": wildcards.genome,
                "chromosomes": None,
                **config["genomes"].get(wildcards.genome, {}),
            }
        ),
    shell:
        r"""
        python -m randommask.data.shards \
            --source {input.genome:q} \
            --hparams {params.hparams:q} \
            --output {params.folder:q} >{log:q} 2>&1
        """
