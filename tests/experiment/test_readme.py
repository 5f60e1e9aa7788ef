"""The tables of keys in `config/README.md` are what the sections say."""

from made import ROOT

from randommask.experiment import form, readme, sections

PAGE = ROOT / "config" / "README.md"


def test_the_page_is_made_from_the_sections():
    text = PAGE.read_text(encoding="utf-8")
    assert readme.page(text) == text, "python -m randommask.experiment.readme"
    shown = {match["name"] for match in readme.MARKED.finditer(text)}
    assert shown >= {"Experiment", "Pretrain", "Ours", "Finetune", "Tsne", "Roles"}


def test_every_key_of_a_config_has_its_line():
    models = [
        model
        for model in vars(sections).values()
        if isinstance(model, type) and issubclass(model, form.Section)
    ]
    assert len(models) > 30
    for model in models:
        said = readme.documented(model)
        missing = [name for name in model.model_fields if not said.get(name)]
        assert not missing, (model, missing)


def test_defaults_are_said_as_yaml_writes_them():
    said = {name: readme.default(sections.Pretrain, name) for name in ("seed", "clip")}
    assert said == {"seed": "`1`", "clip": "`1.0`"}
    assert readme.default(sections.Pretrain, "eps") == "`1.0e-06`"
    assert readme.default(sections.Finetune, "truncate") == "`false`"
    assert readme.default(sections.Finetune, "lora") == "`null`"
    assert readme.default(sections.Identity, "name") == "needed"
    assert readme.default(sections.Experiment, "seeds") == "`[1, 2, 3]`"
