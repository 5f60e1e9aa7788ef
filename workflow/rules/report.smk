"""Runs and measures in; the paper's tables and figures, the audit, the report out."""

FORMS = ["csv", "md", "tex"]
PICTURES = ["png", "pdf", "csv"]


rule table:
    """Write one of the tables, as numbers, to be read and to be printed."""
    input:
        unpack(table_inputs),
    output:
        csv=report(
            "<results>/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md="<results>/tables/{table}.md",
        tex="<results>/tables/{table}.tex",
    log:
        "<logs>/tables/{table}.log",
    wildcard_constraints:
        table=one_of(set(pages.TABLES) - {"table3"}),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        files=pages.table_flags,
        partial=PARTIAL,
        hparams=lambda wildcards: page_flag(
            pages.table_hparams(experiment, wildcards.table)
        ),
    shell:
        r"""
        python -m randommask.report.tables {wildcards.table:q} {params.files} \
            --hparams {params.hparams:q} {params.partial} \
            --csv {output.csv:q} \
            --md {output.md:q} \
            --tex {output.tex:q} >{log:q} 2>&1
        """


use rule table as table3 with:
    """Write every encoder on every dataset, beside the published numbers."""
    output:
        csv=report(
            "<results>/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        averages="<results>/tables/{table}_averages.csv",
        md="<results>/tables/{table}.md",
        tex="<results>/tables/{table}.tex",
    wildcard_constraints:
        table="table3",


rule figure:
    """Draw one of the figures, and write the numbers behind it."""
    input:
        unpack(lambda wildcards: pages.figure_files(experiment, wildcards.figure)),
    output:
        png=report(
            "<results>/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf="<results>/figures/{figure}.pdf",
        csv="<results>/figures/{figure}.csv",
    log:
        "<logs>/figures/{figure}.log",
    wildcard_constraints:
        figure=one_of(pages.FIGURES),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        files=lambda wildcards, input: pages.figure_flags(
            experiment, wildcards.figure, input
        ),
        hparams=lambda wildcards: page_flag(
            pages.figure_hparams(experiment, wildcards.figure)
        ),
    shell:
        r"""
        python -m randommask.report.figures {wildcards.figure:q} {params.files} \
            --hparams {params.hparams:q} \
            --png {output.png:q} \
            --pdf {output.pdf:q} \
            --csv {output.csv:q} >{log:q} 2>&1
        """


rule audit:
    """Recompute the paper's averages and claims from its own printed numbers."""
    input:
        table2=at_hand("config/published/table2.csv"),
        table3=at_hand("config/published/table3.csv"),
        claims=at_hand("config/published/claims.csv"),
    output:
        report(
            "<results>/tables/audit.md",
            caption="../report/audit.rst",
            category="Tables",
            labels={"table": "audit"},
        ),
    log:
        "<logs>/tables/audit.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        published=subpath(input.claims, parent=True),
        hparams=lambda wildcards: page_flag({}),
    shell:
        r"""
        python -m randommask.report.tables.audit \
            --published {params.published:q} \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """


rule report:
    """Bind all of it into one page."""
    input:
        expand("<results>/tables/{table}.{form}", table=pages.TABLES, form=FORMS),
        expand("<results>/figures/{figure}.{form}", figure=pages.FIGURES, form=PICTURES),
        averages="<results>/tables/table3_averages.csv",
        observations="<results>/tables/observations.md",
        audit="<results>/tables/audit.md",
        views=lambda wildcards: pages.views(experiment),
        table2=at_hand("config/published/table2.csv"),
        table3=at_hand("config/published/table3.csv"),
        claims=at_hand("config/published/claims.csv"),
    output:
        report("<results>/report.html", category="Report"),
    log:
        "<logs>/report.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        # provenance is read when the report is made: no input, or it were never done
        results=subpath(output[0], parent=True),
        published=subpath(input.claims, parent=True),
        benchmarks=BENCHMARKS,
        checksums=CHECKSUMS,
        repository=SOURCE,
        hparams=lambda wildcards: page_flag(pages.report_hparams(experiment, config)),
    shell:
        r"""
        python -m randommask.report \
            --tables {params.results:q}/tables \
            --figures {params.results:q}/figures \
            --runs {params.results:q}/finetune \
            --benchmarks {params.benchmarks:q} \
            --checksums {params.checksums:q} \
            --repository {params.repository:q} \
            --published {params.published:q} \
            --hparams {params.hparams:q} \
            --output {output:q} >{log:q} 2>&1
        """
