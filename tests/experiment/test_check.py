"""A bad config is one line; of a good one, each job sees what concerns it."""

import copy

import pytest
from made import ROOT

from randommask.errors import InputError
from randommask.experiment import ablations, encoders, file, runs
from randommask.experiment.check import check
from randommask.experiment.sections import Ours


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def paper():
    return load("config")


def load(name):
    return file.whole(file.read(ROOT / "config" / f"{name}.yaml"))


@pytest.mark.parametrize("name", ["config", "demo", "smoke"])
def test_our_configs_are_good(name):
    check(load(name))


def test_the_slice_needs_its_folders_and_says_so():
    config = load("slice")
    config["sources"]["gue"]["path"] = "no/such/folder"
    config["sources"]["deepstarr"]["path"] = "no/such/folder"
    with pytest.raises(InputError, match="present, but no dataset was found"):
        check(config)


def put(config, path, value):
    *parts, last = path
    for part in parts:
        config = config[part]
    config[last] = value


ROW = {"label": "a", "encoder": "k5", "tokenization": "overlapping"}
ODD = {"kind": "modern", "hidden": 15, "heads": 3}
ADAPTERS = {"rank": 8, "alpha": 16, "dropout": 0.05}
LABELLED = {"label": "a", "encoder": "dnabert", "tokenization": "overlapping"}
PAPERS = ROW | {"encoder": "phases-paper"}
BAD = [
    (("pretrain", "lerning_rate"), 1, "unknown key 'lerning_rate'.*'learning_rate'"),
    (("pretrain", "batch"), 0, "pretrain.batch: found 0, expected at least 1"),
    (("pretrain", "k"), 9, "pretrain.k: found 9, expected at most 7"),
    (("pretrain", "precision"), "fp16", "expected one of fp32, bf16, auto"),
    (("pretrain", "micro_batch"), 33, "batch 512, expected a multiple of micro_batch"),
    (("pretrain", "warmup_steps"), 480000, "expected fewer than steps 480000"),
    (("pretrain", "tokens"), 513, "tokens 513, expected at most positions 512"),
    (("pretrain", "genomes"), ["mm10"], "no genome 'mm10'"),
    (("seeds",), [], "seeds: found \\[\\], expected a list of at least 1"),
    (("seeds",), [1, 1], "no entry twice"),
    (("partial",), "yes", 'partial: found "yes", expected true or false'),
    (("roles", "baseline"), "dnabert-mini", "table3: no row of dnabert-mini, which is"),
    (("encoders", "dnabert", "curiculum"), "x", "unknown key 'curiculum'"),
    (("encoders", "dnabert", "curriculum"), "other", "no curriculum 'other'"),
    (("encoders", "dnabert", "architecture"), "bas", "did you mean 'base'"),
    (("encoders", "untrained", "steps"), 9, "'steps' has no meaning for control untr"),
    (("encoders", "untrained", "architecture"), "bas", "did you mean 'base'"),
    (("encoders", "kmer-linear", "k"), 6, "'k' has no meaning for control kmer-linear"),
    (("encoders", "kmer-linear"), {"control": "kmer-linear"}, "no key 'grid'"),
    (("encoders", "kmer-linear", "grid", "k"), [8], "found 8, expected at most 7"),
    (("encoders", "kmer-linear", "control"), "svm", "expected one of untrained"),
    (("encoders", "dnabert", "grid"), {"k": [3], "strength": [1]}, "kmer-linear only"),
    (("encoders", "randommask", "from", "encoder"), "untrained", "another of our"),
    (("roles", "baseline"), "untrained", "a control, expected one of ours"),
    (("tables", "table3", "rows", 8, "tokenization"), "non-overlapping", "every k-mer"),
    (("tables", "table3", "rows", 9, "tokenization"), "overlapping", "at letters"),
    (("encoders", "no-model", "k"), 6, "'k' has no meaning for control no-model"),
    (("encoders", "nt", "k"), 6, "'k' has no meaning for released weights"),
    (("curricula", "randommask", 1, "until"), 30000, "expected steps that grow"),
    (("curricula", "randommask", 1, "max_span"), 5, "expected at least min_span 6"),
    (("curricula", "dnabert", 0, "until"), 10, "expected steps 480000"),
    (("architectures", "base", "heads"), 7, "hidden 768, expected a multiple"),
    (("architectures", "base", "kind"), "moder", "did you mean 'modern'"),
    (("architectures", "base", "local"), 64, "'local' has a meaning for kind modern"),
    (("architectures", "mini", "global_every"), 2, "for kind modern only"),
    (("architectures", "odd"), ODD, "hidden 15, expected an even number of units"),
    (("architectures", "odd"), {**ODD, "local": 7}, "local: found 7, expected"),
    (("encoders", "randommask", "seed"), 7, "dnabert differs before step 30000: seed"),
    (("encoders", "randommask", "from", "step"), 31000, "expected a segment's end"),
    (("encoders", "randommask", "from", "encoder"), "nt", "another of our encoders"),
    (("tables", "table3", "rows", 0, "encoder"), "ntt", "did you mean 'nt'"),
    (("tables", "table3", "rows", 4, "tokenization"), "character", "does not fit"),
    (("tables", "table3", "datasets"), ["EMP-H5"], "no dataset 'EMP-H5'"),
    (("benchmark", "include"), ["EMP-X"], "benchmark.include: no dataset 'EMP-X'"),
    (("benchmark", "datasets"), "none.tsv", "none.tsv"),
    (("finetune", "recipe"), "table6", "no recipe 'table6'"),
    (("finetune", "lora"), {"rank": 8}, "finetune.lora: no key 'alpha'"),
    (
        ("encoders", "nt", "finetune"),
        {"epochs": 2},
        "finetune: unknown key 'epochs'",
    ),
    (("recipes", "table5", "EMPS"), {}, "table5: no task or dataset 'EMPS'.*'EMP'"),
    (("recipes", "table5", "EMP"), {"lr": 1}, "table5.EMP: unknown key 'lr'"),
    (("roles", "baseline"), "nt", "expected one of ours"),
    (("roles", "baseline"), "dnabert-10k", "dnabert-10k is a milestone, expected one"),
    (
        ("encoders", "dnabert-10k", "milestone", "step"),
        12345,
        "step 12345 of dnabert is not kept, expected one of 0, 100, 300",
    ),
    (("encoders", "dnabert-10k", "milestone", "encoder"), "nt", "that we pretrain"),
    (("encoders", "dnabert-10k", "k"), 6, "'k' has no meaning for a milestone"),
    (
        ("encoders", "phases-100", "replacement", "random"),
        0.1,
        "replacement mask 1.0 and random 0.1, expected a sum of at most 1",
    ),
    (("encoders", "phases-2", "curriculum", 1, "until"), 90000, "its own ends at step"),
    (("encoders", "phases-2", "curriculum", 1, "max_span"), 5, "max_span 5 in its own"),
    (("encoders", "nt", "released", "family"), "esn", "no family 'esn'.*'esm'"),
    (("ablations", "k", "rows", 0, "at"), None, "ablations.k.rows.0.at"),
    (("ablations", "k", "title"), "k", "ablations.k: unknown key 'title'"),
    (("ablations", "k", "datasets"), [], "ablations.k.datasets: found \\[\\]"),
    (("ablations", "k", "rows", 2), ROW, "k row 'a': no 'at', which the group's axis"),
    (("ablations", "k", "rows", 2), ROW | {"at": 1}, "no series, expected one as in"),
    (("ablations", "size", "rows", 2, "series"), "a", "a series, expected none as in"),
    (("ablations", "k", "rows", 2, "at"), "5", "at '5', expected a number as in row 1"),
    (("ablations", "tokenization", "rows", 1, "at"), 1, "at 1, expected a text as in"),
    (("ablations", "replacement", "rows", 1, "at"), 1, "'at', but the group has no"),
    (("ablations", "replacement", "rows", 1, "series"), "a", "'series', but the group"),
    (("ablations", "k", "rows", 1, "label"), "3-mers, spans of 3", "row 1 has this la"),
    (("ablations", "k", "rows", 1, "encoder"), "k3", "k3 with overlapping tokens is r"),
    (("ablations", "replacement", "rows", 1), PAPERS, "phases-paper with .* is row 1"),
    (("pretrain", "k"), 5, "roles.baseline: dnabert has k 5, expected an even"),
    (("pretrain", "learning_rate"), "1e-4", "YAML wants a point"),
    (("architectures", "mini", "positions"), 500, "tokens 512, expected at most"),
    (("recipes", "table5"), {"PD-tat": {}}, "no task or dataset 'PD-tat'.*'PD-tata'"),
    (("recipes", "table5"), {"all": {"clip": 1}}, "unknown key 'clip'"),
    (("recipes", "hyenadna", "all", "decay"), "cosin", 'decay: found "cosin"'),
    (
        ("encoders", "hyenadna-own", "finetune", "recipe"),
        "hyena",
        "hyenadna-own.finetune.recipe: no recipe 'hyena'.*'hyenadna'",
    ),
    (("finetune", "patience"), 0, "finetune.patience: found 0"),
    (("encoders", "dnabert", "curriculum"), "dna", "dnabert.curriculum: no curr"),
    (("sources", "hg38"), {"path": "a", "files": []}, "sources.hg38"),
    (("sources", "hg38", "files", 0, "md5"), "abc", 'files.0.md5: found "abc"'),
    (("sources", "gue", "otherwise", 0, "hub", "renam"), {}, "did you mean 'rename'"),
    (("sources", "gue", "otherwise", 0, "hub", "rename"), {}, "hub.rename"),
    (("sources", "gue", "otherwise", 0), {"path": "a"}, "sources.gue.otherwise.0"),
    (("mirrors",), "folder", 'mirrors: found "folder", expected a list'),
    (("encoders", "nt", "released", "path"), "a", "encoders.nt.released"),
    (
        ("encoders", "nt", "released", "family"),
        "gpt",
        "of bert, esm, hf, hyena, modern",
    ),
    # what a command would refuse in the end
    (("tables", "table2", "rows", 0), LABELLED, "rows.0: no key 'pretraining'"),
    (("tables", "table3", "rows", 1, "label"), "NT", "row 2: a second 'NT', as row 1"),
    (
        ("tables", "table2", "rows", 3, "tokenization"),
        "non-overlapping",
        "row 4: a sec",
    ),
    (("tables", "table3", "rows", 4, "published"), "DNABER", "row 'DNABERT': no publi"),
    (("tables", "table2", "rows", 2, "published"), "HyenaDNA", "no published row 'Hy"),
    (("tables", "table3", "rows", 0, "series"), "a", "unknown key 'series'"),
    (("tables", "table3", "rows", 0, "pretraining"), "a", "unknown key 'pretraining'"),
    (("ablations", "k", "rows", 0, "published"), "NT", "unknown key 'published'"),
    (("tables", "table3", "datasets"), [], "table3.datasets: found \\[\\], expected a"),
    (("figures", "tsne", "perplexity"), 1366, "less than a third of the 4096 k-mers"),
    (("figures", "attention", "tokens"), 513, "at most the 512 positions of dnabert"),
    (("encoders", "nonoverlapping", "k"), 2, "k 2, expected an even number from 4 on"),
    (("pretrain", "held_out"), ["chr23"], "no chromosome 'chr23'.*did you mean 'chr"),
    (("pretrain", "held_out"), ["a b"], 'held_out.0: found "a b", expected a FASTA'),
    (("genomes", "hg38", "chromosomes"), ["../1"], 'chromosomes.0: found "../1"'),
    (("tables", "table3", "rows", 2, "tokenization"), "overlapping", "expected charac"),
    (("tables", "table3", "rows", 0, "tokenization"), "character", "expected overlapp"),
    (("pathvars", "results"), "../results", "results: found .* without '..' in its"),
    (("pathvars", "results"), "/", 'results: found "/", expected a folder'),
    (("pathvars", "logs"), "~/logs", "without '~'"),
    (
        ("sources", "deepstarr", "files", 1, "name"),
        "Sequences_Train.fa",
        "two files ar",
    ),
    (("finetune", "lora"), ADAPTERS, "lora, expected null for hyenadna: the family"),
    (("encoders", "hyenadna", "finetune"), {"lora": ADAPTERS}, "has no layers for ad"),
    (("roles", "randommask"), "dnabert", "ends with max_span 6, expected more than pr"),
    (("sources",), {"hg38": {"path": "a"}}, "no source 'gue', which EMP-H3 in config"),
]


def test_a_copy_with_code_of_its_own_is_refused_before_anything_runs(paper, tmp_path):
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "dna.Dna"}}')
    rows = paper["tables"]["table3"]["rows"]
    for family, tokens in (("bert", "overlapping"), ("hf", "own")):
        copy = {"path": str(tmp_path), "family": family}
        paper["encoders"]["other"] = {"released": copy}
        rows.append({"label": "other", "encoder": "other", "tokenization": tokens})
        if family == "bert":  # which reads the weights by itself
            check(paper)
            rows.pop()
    with pytest.raises(InputError, match=r"other\.released: .*auto_map: dna\.Dna"):
        check(paper)
    (tmp_path / "config.json").write_text("{}")
    check(paper)
    rows[-1]["tokenization"] = "overlapping"
    with pytest.raises(InputError, match="does not fit encoder other, expected own"):
        check(paper)


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=lambda part: str(part))
def test_a_bad_config_is_one_short_line(paper, path, value, message):
    put(paper, path, value)
    with pytest.raises(InputError, match=message) as error:
        check(paper)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_all_chromosomes_cannot_be_held_out(paper):
    paper["genomes"]["hg38"]["chromosomes"] = ["chr1", "chr2"]
    paper["pretrain"]["held_out"] = ["chr2", "chr1"]
    with pytest.raises(InputError, match="found all 2 chromosomes, expected one that"):
        check(paper)


def test_ncbis_names_can_be_taken_and_held_out(paper):
    names = ["gi|568336023|gb|CM000663.2|", "gi|2|gb|CM2|", "NC_000001.11"]
    paper["genomes"]["hg38"]["chromosomes"] = names
    paper["pretrain"]["held_out"] = names[:2]
    experiment = check(paper)
    assert encoders.segment(experiment, "dnabert", 30000).settings.held_out == (
        *names[:2],
    )


def test_a_demos_perplexity_is_told_before_its_training():
    demo = load("demo")
    demo["figures"]["tsne"]["perplexity"] = 100
    with pytest.raises(InputError, match="100, expected less than a third of the 256"):
        check(demo)


def test_a_circle_of_branches_is_refused(paper):
    paper["encoders"]["dnabert"]["from"] = {"encoder": "randommask", "step": 60000}
    with pytest.raises(InputError, match="from"):
        check(paper)


def changed_segments(before, after):
    one, other = check(before), check(after)
    return {
        name
        for name in encoders.segment_names(one)
        if encoders.segment(one, *encoders.split(name))
        != encoders.segment(other, *encoders.split(name))
    }


def test_one_encoders_setting_changes_its_segments_only(paper):
    other = copy.deepcopy(paper)
    other["encoders"]["nonoverlapping"]["learning_rate"] = 2e-4
    changed = changed_segments(paper, other)
    names = encoders.segment_names(check(paper))
    assert changed == {name for name in names if name.startswith("nonover")}


def test_a_later_phase_leaves_earlier_segments_as_they_are(paper):
    other = copy.deepcopy(paper)
    other["curricula"]["randommask"][-1]["max_span"] = 16
    assert changed_segments(paper, other) == {
        f"randommask/step-{end}" for end in (260000, 370000, 480000)
    }


def test_a_branch_starts_where_the_other_ends(paper):
    experiment = check(paper)
    assert encoders.predecessor(experiment, "randommask", 60000) == ("dnabert", 30000)
    own = ("randommask", 60000)
    assert encoders.predecessor(experiment, "randommask", 100000) == own
    assert encoders.predecessor(experiment, "dnabert", 30000) is None
    lineage = encoders.lineage(experiment, "randommask")
    assert lineage[0] == "dnabert/step-0"
    assert lineage[-1] == "randommask/step-480000"


def test_spans_are_validated_with_one_masking(paper):
    experiment = check(paper)
    masks = {
        encoder: encoders.span_masking(experiment, encoder)
        for encoder in encoders.named(experiment, Ours)
    }
    assert masks["spans-6"] == masks["phases-share-15"] == masks["phases-100"]
    assert masks["spans-6"].replacement == experiment.pretrain.replacement
    assert masks["nonoverlapping"].center_probability == 0.15


def test_milestones_belong_to_the_segment_that_passes_them(paper):
    kept = encoders.milestone_segments(check(paper))
    assert kept["dnabert/step-0"] == kept["dnabert/step-10000"] == "dnabert/step-30000"
    assert "dnabert/step-100000" not in kept  # a segment's end has its own folder


def test_an_encoder_may_be_fine_tuned_its_own_way(paper):
    plain = copy.deepcopy(paper)
    adapters = {"rank": 8, "alpha": 16, "dropout": 0.05}
    own = {"learning_rate": 1e-3, "lora": adapters, "truncate": True}
    for name in ("nt", "dnabert"):
        paper["encoders"][name]["finetune"] = own
    rows = runs.benchmark(check(paper))
    before, after, other = (
        runs.finetuning(check(config), name, "overlapping", rows[0], 1).values()
        for config, name in ((plain, "nt"), (paper, "nt"), (paper, "randommask"))
    )
    assert before["lora"] is None and before["truncate"] is False
    assert after == before | own
    assert other == before | {"encoder": "randommask"}
    assert not changed_segments(plain, paper)


def test_what_the_head_reads_is_set_for_all_a_recipe_or_an_encoder(paper):
    def asked(config, name="dnabert"):
        experiment = check(config)
        row = runs.benchmark(experiment)[0]
        told = runs.finetuning(experiment, name, "overlapping", row, 1)
        return told.values().get("pooling")

    assert asked(paper) is None  # the default, which no run was told before
    paper["encoders"]["untrained"]["finetune"] = {"pooling": "mean"}
    assert asked(paper) is None and asked(paper, "untrained") == "mean"
    paper["recipes"]["table5"] = {"EMP": {"pooling": "mean"}}
    paper["encoders"]["untrained"]["finetune"] = {"pooling": "cls"}
    assert asked(paper) == "mean" and asked(paper, "untrained") is None
    paper["recipes"]["table5"] = {}
    paper["finetune"]["pooling"] = "mean"
    assert asked(paper) == "mean"
    paper["finetune"]["pooling"] = "max"
    with pytest.raises(InputError, match='found "max", expected one of cls, mean'):
        check(paper)


def test_rows_to_learn_from_are_set_for_all_or_for_one_control_or_encoder(paper):
    def told(config, name):
        experiment = check(config)
        [row] = [row for row in runs.benchmark(experiment) if row.dataset == "EMP-H3"]
        tokens = "character" if name == "no-model" else "overlapping"
        return runs.told(experiment, name, tokens, row, 1).values()

    names = ("dnabert", "untrained", "kmer-linear", "no-model")
    before = {name: told(paper, name) for name in names}
    # Runs from before there was a choice are not made again.
    assert not any("train_rows" in values for values in before.values())
    paper["finetune"]["train_rows"] = 300
    for name in names:
        assert told(paper, name) == before[name] | {"train_rows": 300}
    for rows, name in enumerate(names, 1):
        paper["encoders"][name]["finetune"] = {"train_rows": rows}
        assert told(paper, name) == before[name] | {"train_rows": rows}
    paper["encoders"]["no-model"]["finetune"] = {"pooling": "mean"}
    with pytest.raises(InputError, match=r"no-model\.finetune: unknown key 'pooling'"):
        check(paper)


@pytest.mark.parametrize("name", ["config", "demo", "slice"])
def test_the_pooling_group_compares_nothing_but_what_the_head_reads(name, tmp_path):
    config = load(name)
    if name == "slice":
        (tmp_path / "EMP" / "H3").mkdir(parents=True)
        (tmp_path / "EMP" / "H3" / "train.csv").write_text("sequence,label\n")
        config["sources"]["gue"]["path"] = str(tmp_path)
    experiment = check(config)
    rows = experiment.ablations["pooling"].rows
    dataset = runs.benchmark(experiment)[0]
    told = [
        runs.finetuning(experiment, row.encoder, row.tokenization, dataset, 1)
        for row in rows
    ]
    read = {"[CLS]": "cls", "mean": "mean"}
    assert [one.pooling for one in told] == [read[row.at] for row in rows]
    for first, second in zip(told[::2], told[1::2], strict=True):
        changed = {"encoder": second.encoder, "pooling": second.pooling}
        assert first.model_copy(update=changed) == second
        # the same weights: of one step, or drawn from one seed
        weights = [ablations.weights(experiment, x.encoder) for x in (first, second)]
        assert weights[0] == weights[1]
        if weights[0] is None:
            drawn = [encoders.initial(experiment, x.encoder) for x in (first, second)]
            assert drawn[0] == drawn[1]


def test_a_group_may_name_datasets_that_lie_elsewhere(tmp_path):
    config = load("slice")
    (tmp_path / "EMP" / "H3").mkdir(parents=True)
    (tmp_path / "EMP" / "H3" / "train.csv").write_text("sequence,label\n")
    config["sources"]["gue"]["path"] = str(tmp_path)
    experiment = check(config)
    group = experiment.ablations["curriculum"]
    assert runs.table_datasets(experiment, group) == ["EMP-H3"]
    config["ablations"]["masking-rate"]["datasets"] = ["SSP"]
    experiment = check(config)  # `make slice` asks for no group
    with pytest.raises(InputError, match="data sets are not here: SSP"):
        ablations.measured(experiment, experiment.ablations["masking-rate"])
    config["ablations"]["curriculum"]["datasets"] = ["EMP-H5"]
    with pytest.raises(InputError, match="no dataset 'EMP-H5'"):
        check(config)


def test_an_ablations_setting_changes_its_own_encoder_only(paper):
    other = copy.deepcopy(paper)
    other["encoders"]["phases-100"]["replacement"] = {"mask": 0.95, "random": 0.0}
    other["encoders"]["phases-10"]["curriculum"][-1]["max_span"] = 15
    ends = (6250, 10000, 20000, 50000, 100000)
    expected = {*(f"phases-100/step-{end}" for end in ends), "phases-10/step-100000"}
    assert changed_segments(paper, other) == expected


def test_a_milestone_has_the_settings_of_its_encoder(paper):
    experiment = check(paper)
    milestone, encoder = (
        encoders.keys(experiment, name) for name in ("dnabert-10k", "dnabert")
    )
    assert milestone == encoder
    assert not encoders.is_ours(experiment, "dnabert-10k")
    assert "dnabert-10k/step-480000" not in encoders.segment_names(experiment)


def test_sequences_that_are_cut_need_not_fit(paper):
    paper["pretrain"]["tokens"] = paper["architectures"]["base"]["positions"] = 300
    with pytest.raises(InputError, match="497 tokens, expected at most the 300"):
        check(paper)
    paper["finetune"]["truncate"] = True
    check(paper)


def test_recipes_change_what_they_name(paper):
    paper["recipes"]["own"] = {"all": {"epochs": 2}, "SSP": {"epochs": 7}}
    experiment = check(paper)
    rows = {row.dataset: row for row in runs.benchmark(experiment)}

    def told(recipe, dataset):
        return runs.recipe(experiment, recipe, rows[dataset])

    assert told("table5", "SSP")["learning_rate"] == 1e-4
    assert told("table4", "SSP")["learning_rate"] == 3e-5
    assert told("own", "SSP")["epochs"] == 7
    assert told("own", "EAP")["epochs"] == 2


def test_an_encoder_may_have_a_recipe_of_its_own(paper):
    """HyenaDNA's authors' for short sequences, beside the paper's for all."""
    experiment = check(paper)
    [row] = [row for row in runs.benchmark(experiment) if row.dataset == "EMP-H3"]
    common, own = (
        runs.finetuning(experiment, encoder, "character", row, 1)
        for encoder in ("hyenadna", "hyenadna-own")
    )
    assert (common.epochs, common.batch_size, common.learning_rate) == (100, 32, 3e-5)
    assert (own.epochs, own.batch_size, own.learning_rate) == (100, 128, 6e-4)
    assert (own.weight_decay, own.warmup_share, own.decay) == (0.1, 0.01, "cosine")
    assert own.clip == common.clip == 1.0
    # Runs from before there was a choice are not made again.
    assert not {"decay", "warmup_share", "recipe"} & common.values().keys()
    assert own.values()["decay"] == "cosine"


def test_dnabert2s_recipe_is_the_scripts(paper):
    """Per group: epochs, steps in all, warm-up; learning rate and decay for all."""
    paper["finetune"]["recipe"] = "dnabert2"
    experiment = check(paper)
    rows = {row.dataset: row for row in runs.benchmark(experiment)}
    expected = {
        "EMP-H3": (3, None, 50),
        "TF-M-3": (5, 1000, 30),
        "TF-H-0": (3, None, 30),
        "PD-all": (4, None, 50),
        "PD-tata": (10, None, 50),
        "CPD-notata": (4, None, 50),
        "CPD-tata": (10, None, 50),
        "SSP": (5, None, 50),
    }
    for name, numbers in expected.items():
        run = runs.finetuning(experiment, "dnabert", "overlapping", rows[name], 1)
        assert (run.epochs, run.max_steps, run.warmup_steps) == numbers
        assert (run.batch_size, run.learning_rate) == (32, 3e-5)
        assert run.weight_decay == 0.01
