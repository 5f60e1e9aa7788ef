"""Runs in; the paper's five tables, the audit, the observations, the report out."""

FORMS = ["csv", "md", "tex"]
PICTURES = ["png", "pdf", "csv"]


rule table1:
    """Print the tasks."""
    input:
        datasets=config["benchmark"]["datasets"],
    output:
        csv="<results>/tables/table1.csv",
        md="<results>/tables/table1.md",
        tex="<results>/tables/table1.tex",
    log:
        "<logs>/tables/table1.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        hparams=lambda wildcards: json.dumps({**EXPERIMENT, "datasets": list(DATASETS)}),
    shell:
        r"""
        python -m randommask.report.tables table1 \
            --datasets {input.datasets:q} \
            --hparams {params.hparams:q} \
            --csv {output.csv:q} \
            --md {output.md:q} \
            --tex {output.tex:q} >{log:q} 2>&1
        """


rule table2:
    """Print what overlapping tokens bring in fine-tuning."""
    input:
        runs=runs_of(config["tables"]["table2"]),
        datasets=config["benchmark"]["datasets"],
        published="config/published/table2.csv",
    output:
        csv="<results>/tables/table2.csv",
        md="<results>/tables/table2.md",
        tex="<results>/tables/table2.tex",
    log:
        "<logs>/tables/table2.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        results=subpath(output.csv, ancestor=2),
        partial=PARTIAL,
        hparams=lambda wildcards: rows_of(config["tables"]["table2"]),
    shell:
        r"""
        python -m randommask.report.tables table2 \
            --runs {params.results:q}/finetune \
            --datasets {input.datasets:q} \
            --published {input.published:q} \
            --hparams {params.hparams:q} {params.partial} \
            --csv {output.csv:q} \
            --md {output.md:q} \
            --tex {output.tex:q} >{log:q} 2>&1
        """


rule table3:
    """Print every encoder on every dataset, beside the published numbers."""
    input:
        runs=runs_of(config["tables"]["table3"]),
        datasets=config["benchmark"]["datasets"],
        published="config/published/table3.csv",
    output:
        csv="<results>/tables/table3.csv",
        averages="<results>/tables/table3_averages.csv",
        md="<results>/tables/table3.md",
        tex="<results>/tables/table3.tex",
    log:
        "<logs>/tables/table3.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        results=subpath(output.csv, ancestor=2),
        partial=PARTIAL,
        hparams=lambda wildcards: rows_of(config["tables"]["table3"], controls=CONTROLS),
    shell:
        r"""
        python -m randommask.report.tables table3 \
            --runs {params.results:q}/finetune \
            --datasets {input.datasets:q} \
            --published {input.published:q} \
            --hparams {params.hparams:q} {params.partial} \
            --csv {output.csv:q} \
            --averages {output.averages:q} \
            --md {output.md:q} \
            --tex {output.tex:q} >{log:q} 2>&1
        """


rule statistics:
    """Compare each row of Table 3 with the baseline's, over data sets and test rows."""
    input:
        runs_of(config["tables"]["table3"]),
        runs_of(config["tables"]["table3"], "predictions.parquet"),
        expand(
            "<results>/benchmark/{dataset}/test.parquet",
            dataset=runs.table_datasets(config, config["tables"]["table3"]),
        ),
        table3="<results>/tables/table3.csv",
    output:
        csv="<results>/tables/statistics.csv",
        md="<results>/tables/statistics.md",
        tex="<results>/tables/statistics.tex",
    log:
        "<logs>/tables/statistics.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        results=subpath(output.csv, ancestor=2),
        partial=PARTIAL,
        hparams=lambda wildcards: rows_of(
            config["tables"]["table3"], baseline=config["roles"]["baseline"]
        ),
    shell:
        r"""
        python -m randommask.report.tables statistics \
            --table3 {input.table3:q} \
            --runs {params.results:q}/finetune \
            --benchmark {params.results:q}/benchmark \
            --hparams {params.hparams:q} {params.partial} \
            --csv {output.csv:q} \
            --md {output.md:q} \
            --tex {output.tex:q} >{log:q} 2>&1
        """


rule recipe:
    """Print one of the two fine-tuning recipes of the appendix."""
    input:
        datasets=config["benchmark"]["datasets"],
    output:
        csv="<results>/tables/{recipe}.csv",
        md="<results>/tables/{recipe}.md",
        tex="<results>/tables/{recipe}.tex",
    log:
        "<logs>/tables/{recipe}.log",
    wildcard_constraints:
        recipe="table4|table5",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        hparams=lambda wildcards: recipe_hparams(wildcards.recipe),
    shell:
        r"""
        python -m randommask.report.tables {wildcards.recipe} \
            --datasets {input.datasets:q} \
            --hparams {params.hparams:q} \
            --csv {output.csv:q} \
            --md {output.md:q} \
            --tex {output.tex:q} >{log:q} 2>&1
        """


rule datasets:
    """Print what the benchmark holds: rows, lengths, balance, duplicates, leaks."""
    input:
        expand("<results>/benchmark/{dataset}/summary.json", dataset=DATASETS),
    output:
        csv="<results>/tables/datasets.csv",
        md="<results>/tables/datasets.md",
    log:
        "<logs>/tables/datasets.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        hparams=lambda wildcards: json.dumps(EXPERIMENT),
    shell:
        r"""
        python -m randommask.report.tables datasets \
            --summaries {input:q} \
            --hparams {params.hparams:q} \
            --csv {output.csv:q} \
            --md {output.md:q} >{log:q} 2>&1
        """


rule audit:
    """Recompute the paper's averages and claims from its own printed numbers."""
    input:
        table2="config/published/table2.csv",
        table3="config/published/table3.csv",
        claims="config/published/claims.csv",
    output:
        "<results>/tables/audit.md",
    log:
        "<logs>/tables/audit.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        published=subpath(input.claims, parent=True),
        hparams=lambda wildcards: json.dumps(EXPERIMENT),
    shell:
        r"""
        python -m randommask.report.tables.audit \
            --published {params.published:q} \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule observations:
    """Measure the paper's three observations on our own encoders."""
    input:
        files_of(
            by_role("<results>/figures/embeddings/{encoder}.purity.csv", SPACES),
            by_role("<results>/figures/attention/{encoder}.csv", MAPS),
        ),
        segments=[
            last_segment(config["roles"][role])
            for role in CURVES
            if role in config["roles"]
        ],
        table2="<results>/tables/table2.csv",
    output:
        csv="<results>/tables/observations.csv",
        md="<results>/tables/observations.md",
    log:
        "<logs>/tables/observations.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        history=resolved(histories(CURVES)),
        purity=resolved(
            by_role("<results>/figures/embeddings/{encoder}.purity.csv", SPACES)
        ),
        attention=resolved(by_role("<results>/figures/attention/{encoder}.csv", MAPS)),
        hparams=lambda wildcards: json.dumps(
            {**EXPERIMENT, "vocab_size": vocab_size("baseline")}
        ),
    shell:
        r"""
        python -m randommask.report.tables.observations \
            --table2 {input.table2:q} \
            --history {params.history:q} \
            --purity {params.purity:q} \
            --attention {params.attention:q} \
            --hparams {params.hparams:q} \
            --csv {output.csv:q} \
            --md {output.md:q} >{log:q} 2>&1
        """


rule report:
    """Bind all of it into one page."""
    input:
        expand("<results>/tables/table{number}.{form}", number=range(1, 6), form=FORMS),
        expand(
            "<results>/figures/fig{number}.{form}", number=range(1, 6), form=PICTURES
        ),
        expand("<results>/tables/statistics.{form}", form=FORMS),
        expand("<results>/figures/ranks.{form}", form=PICTURES),
        averages="<results>/tables/table3_averages.csv",
        observations="<results>/tables/observations.md",
        datasets="<results>/tables/datasets.md",
        pictured=expand("<results>/figures/datasets.{form}", form=PICTURES),
        audit="<results>/tables/audit.md",
        figure="<results>/figures/fig1.png",
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        tables=subpath(input.audit, parent=True),
        figures=subpath(input.figure, parent=True),
        # provenance is read when the report is made: no input, or it were never done
        results=subpath(output[0], parent=True),
        benchmarks=BENCHMARKS,
        checksums=CHECKSUMS,
        repository=workflow.basedir,
        hparams=lambda wildcards: json.dumps(
            {**EXPERIMENT, "config": config, "controls": CONTROLS}
        ),
    shell:
        r"""
        python -m randommask.report \
            --tables {params.tables:q} \
            --figures {params.figures:q} \
            --runs {params.results:q}/finetune \
            --benchmarks {params.benchmarks:q} \
            --checksums {params.checksums:q} \
            --repository {params.repository:q} \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """
