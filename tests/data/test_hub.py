"""Released encoders and mirrored data sets, from a hub of this machine.

The server gives the answers that `huggingface_hub` expects; the repositories are made.
"""

import hashlib
import json
import random

import pytest
import yaml
from huggingface_hub import constants
from huggingface_hub.utils import close_session
from made import ROOT, loopback
from made.fetching import content, fetch, found_in, ledger_of

from randommask import files
from randommask.data import hub, transfer
from randommask.data.sources import RefusedError, Repository
from randommask.errors import InputError
from randommask.experiment import datasets

COMMIT = "55e0c0e" + "1" * 33
WEIGHTS = b"PK\x03\x04" + bytes(range(256)) * 12_000
MODEL = {
    "config.json": b'{"model_type": "bert"}',
    "pytorch_model.bin": WEIGHTS,
    "vocab.txt": b"[PAD]\n",
    "tokenizer_config.json": b"{}",
    "modeling.py": b"import os\n",
    "README.md": b"x",
}
LFS = ("pytorch_model.bin", "model.safetensors")


@pytest.fixture(autouse=True)
def our_hub(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url())
    monkeypatch.setenv("HF_TOKEN", "hf_made")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    yield
    close_session()


def add_model(server, changes=None, **options):
    body = {**MODEL, **(changes or {})}
    options = {"names": ("main",), "lfs": LFS, **options}
    server.add_repository("lab/dna", body, COMMIT, **options)


def spec(revision="main", **known):
    pins = [{"name": name.replace("__", "."), **pin} for name, pin in known.items()]
    return {"encoder": {"repository": "lab/dna", "revision": revision, "files": pins}}


def address(name):
    return f"/lab/dna/resolve/{COMMIT}/{name}"


def refused(output, message, wanted=None):
    with pytest.raises(InputError, match=message) as error:
        fetch(wanted or spec(), output, name="encoders/e")
    assert "\n" not in str(error.value)
    assert not output.exists()
    return str(error.value)


def test_an_encoder_is_fetched_as_plain_files_without_code(server, tmp_path):
    add_model(server)
    fetch(spec(), tmp_path / "out", name="encoders/e")
    names = ["config.json", "pytorch_model.bin", "tokenizer_config.json", "vocab.txt"]
    assert content(tmp_path / "out") == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == MODEL[name]
        assert not (tmp_path / "out" / name).is_symlink()
    rows = ledger_of(tmp_path / "out")
    assert [row[1] for row in rows] == names
    assert {row[0] for row in rows} == {"encoders/e"}
    assert {tuple(row[4:]) for row in rows} == {("first-use", f"lab/dna@{COMMIT}")}
    assert found_in(tmp_path) == ["out"]


def test_code_of_its_own_is_refused_before_the_weights(server, tmp_path):
    config = {"model_type": "bert", "auto_map": {"AutoModel": "modeling.DnaModel"}}
    add_model(server, {"config.json": json.dumps(config).encode()})
    plain = spec() | {"plain": True}
    said = refused(tmp_path / "out", r"auto_map: modeling\.DnaModel", plain)
    assert said.startswith(f"lab/dna@{COMMIT}: config.json names code of its own")
    assert [path for path, _ in server.requests if "/resolve/" in path] == [
        address("config.json")
    ]
    fetch(spec(), tmp_path / "out")  # whose family reads weights alone
    add_model(server)
    fetch(plain, tmp_path / "plain", name="encoders/e")


def test_a_copy_with_code_of_its_own_is_refused(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, body in MODEL.items():
        (copy / name).write_bytes(body)
    copied = {"encoder": {"path": str(copy)}, "plain": True}
    fetch(copied, tmp_path / "out", name="encoders/e")
    (copy / "config.json").write_text('{"auto_map": "modeling.DnaModel"}')
    refused(tmp_path / "other", r"code of its own \(auto_map: modeling", copied)


def test_its_own_tokenizer_is_taken_too(server, tmp_path):
    add_model(server, {"tokenizer.json": b"{}", "special_tokens_map.json": b"{ }"})
    fetch(spec(), tmp_path / "out")
    assert {"tokenizer.json", "special_tokens_map.json"} <= {*content(tmp_path / "out")}


def test_safetensors_are_preferred(server, tmp_path):
    add_model(server, {"model.safetensors": b"safe"})
    fetch(spec(), tmp_path / "out")
    assert (tmp_path / "out/model.safetensors").read_bytes() == b"safe"
    assert not (tmp_path / "out/pytorch_model.bin").exists()


def test_unless_the_config_lists_others(server, tmp_path):
    add_model(server, {"model.safetensors": b"safe"})
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    pins = {"pytorch_model__bin": {"sha256": sha256, "bytes": len(WEIGHTS)}}
    fetch(spec(**pins), tmp_path / "out")
    assert "pytorch_model.bin" in content(tmp_path / "out")
    assert "model.safetensors" not in content(tmp_path / "out")
    checked = {row[1]: row[4] for row in ledger_of(tmp_path / "out")}
    assert checked["pytorch_model.bin"] == "pinned"
    assert checked["config.json"] == "first-use"


def test_a_broken_transfer_goes_on_with_the_next_call(server, tmp_path):
    add_model(server)
    weights = address("pytorch_model.bin")
    server.faults[weights] = [("cut", 2 << 20), 404]
    refused(tmp_path / "out", r"pytorch_model\.bin: no mirror gave it: .* HTTP 404")
    server.requests.clear()
    fetch(spec(), tmp_path / "out")
    assert (weights, f"bytes={2 << 20}-") in server.requests
    assert (address("config.json"), None) not in server.requests
    assert (tmp_path / "out/pytorch_model.bin").read_bytes() == WEIGHTS


def test_other_bytes_than_the_hub_announces_are_refused(server, tmp_path):
    add_model(server)
    server.files[address("pytorch_model.bin")] = WEIGHTS[::-1]
    said = refused(tmp_path / "out", "the hub says so")
    for body in (WEIGHTS, WEIGHTS[::-1]):
        assert hashlib.sha256(body).hexdigest() in said


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"config__json": {"bytes": 7}}, r"config\.json has 22 bytes, expected 7"),
        ({"pytorch_model__bin": {"sha256": "0" * 64}}, r"sha256 is \w+, expected 00"),
        ({"merges__txt": {"bytes": 7}}, r"no merges\.txt, expected an encoder"),
        ({"config__json": {"sha256": "0" * 64}}, r"sha256 is \w+, expected 00"),
    ],
)
def test_what_the_config_knows_is_held_against_the_hub(
    server, tmp_path, known, message
):
    add_model(server)
    refused(tmp_path / "out", message, spec(**known))
    assert (address("pytorch_model.bin"), None) not in server.requests


def test_a_branch_that_moved_on_is_refused_before_its_weights_come(server, tmp_path):
    add_model(server)
    fetch(spec(), tmp_path / "out", name="encoders/e")
    files.remove(tmp_path / "out")
    server.requests.clear()
    add_model(server, {"pytorch_model.bin": WEIGHTS[::-1]})
    said = refused(tmp_path / "out", r"recorded in .*checksums\.tsv")
    for body in (WEIGHTS, WEIGHTS[::-1]):
        assert hashlib.sha256(body).hexdigest() in said
    assert [path for path, _ in server.requests if "resolve" in path] == []


def test_a_repository_that_is_not_there_is_one_line(server, tmp_path):
    refused(tmp_path / "out", "lab/dna@main: Client error '404 Not Found' for url .*$")
    server.files["/api/models/lab/dna/revision/main?blobs=true"] = b"<html>login</html>"
    refused(tmp_path / "out", "no answer of a hub")
    server.files["/api/models/lab/dna/revision/main?blobs=true"] = b'{"id": "lab/dna"}'
    refused(tmp_path / "out", "no answer of a hub")


def test_a_busy_hub_is_asked_again(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(transfer.time, "sleep", pauses.append)
    add_model(server)
    listing = "/api/models/lab/dna/revision/main?blobs=true"
    server.faults[listing] = [{"Retry-After": "9"}, 503]
    fetch(spec(), tmp_path / "out")
    assert pauses == [9.0, 0.0]


def test_an_incomplete_repository_is_refused(server, tmp_path):
    server.add_repository("lab/dna", {"config.json": b"{}"}, COMMIT, names=("main",))
    refused(tmp_path / "out", r"no model\.safetensors or pytorch_model\.bin")


def test_the_token_goes_to_the_hub_and_no_further(server, tmp_path):
    add_model(server)
    weights = address("pytorch_model.bin")
    with loopback.serving() as storage:
        storage.files["/blob"] = server.files[weights]
        storage.faults["/blob"] = [("cut", 2 << 20)]
        server.redirects[weights] = storage.url("/blob")
        fetch(spec(), tmp_path / "out")
        assert [wanted for _, wanted in storage.requests] == [None, f"bytes={2 << 20}-"]
        assert not any("authorization" in h for h in lower(storage.request_headers))
    assert any("authorization" in h for h in lower(server.request_headers))
    assert (tmp_path / "out/pytorch_model.bin").read_bytes() == WEIGHTS


def lower(headers):
    return [{name.lower() for name in one} for one in headers]


def test_the_proxy_of_the_environment_is_asked(server, tmp_path, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    add_model(server)
    for path in list(server.files):
        server.files[f"http://hub.example{path}"] = server.files.pop(path)
    monkeypatch.setenv("HTTP_PROXY", server.url())
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    fetch(spec(), tmp_path / "out")
    assert all(path.startswith("http://hub.example/") for path, _ in server.requests)
    assert (tmp_path / "out/pytorch_model.bin").read_bytes() == WEIGHTS


# --- without the hub ------------------------------------------------------------------


def test_offline_is_one_line_and_asks_nobody(server, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(tmp_path / "out", "HF_HUB_OFFLINE is set; name a copy by path")
    assert server.requests == []


def copy_model(folder):
    folder.mkdir(parents=True)
    for name, body in MODEL.items():
        (folder / name).write_bytes(body)


def test_mirrors_come_before_the_hub(server, tmp_path):
    add_model(server)
    mirror = tmp_path / "mirror"
    copy_model(mirror / "encoders/e")
    fetch(spec(), tmp_path / "out", [str(tmp_path / "no"), str(mirror)], "encoders/e")
    assert server.requests == []
    assert "modeling.py" not in content(tmp_path / "out")
    row = ledger_of(tmp_path / "out")[0]
    assert row[4:] == ["first-use", str(mirror / "encoders/e/config.json")]


def test_a_mirror_may_be_an_address(server, tmp_path):
    for name, body in MODEL.items():
        server.files[f"/m/encoders/e/{name}"] = body
    mirrors = [server.url("/none"), server.url("/m/")]
    fetch(spec(), tmp_path / "out", mirrors, "encoders/e")
    assert (tmp_path / "out/pytorch_model.bin").read_bytes() == WEIGHTS
    assert not any("/api/" in path for path, _ in server.requests)


def test_a_mirror_with_wrong_bytes_leads_to_the_hub(server, tmp_path, capsys):
    add_model(server)
    copy_model(tmp_path / "mirror/e")
    (tmp_path / "mirror/e/pytorch_model.bin").write_bytes(b"wrong")
    pins = {"pytorch_model__bin": {"sha256": hashlib.sha256(WEIGHTS).hexdigest()}}
    fetch(spec(**pins), tmp_path / "out", [str(tmp_path / "mirror")], "e")
    assert (
        f"sha256 is {hashlib.sha256(b'wrong').hexdigest()}" in capsys.readouterr().err
    )
    assert (tmp_path / "out/pytorch_model.bin").read_bytes() == WEIGHTS
    assert {row[5] for row in ledger_of(tmp_path / "out")} == {f"lab/dna@{COMMIT}"}
    assert found_in(tmp_path) == ["mirror", "out"]


def test_a_local_copy_is_linked_and_must_be_an_encoder(tmp_path):
    copy_model(tmp_path / "own")
    fetch({"encoder": {"path": str(tmp_path / "own")}}, tmp_path / "out")
    assert (tmp_path / "out/config.json").is_symlink()
    (tmp_path / "own/config.json").unlink()
    wanted = {"encoder": {"path": str(tmp_path / "own")}}
    with pytest.raises(InputError, match=r"own: no config\.json, expected an encoder"):
        fetch(wanted, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


# --- data sets ------------------------------------------------------------------------


def test_the_config_takes_gue_from_any_of_its_three_places(server, tmp_path):
    """All three give the official layout, as the config is."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    source = config["sources"]["gue"]
    source["files"][0]["urls"] = [server.url("/absent.zip")]
    sets = [row.source for row in datasets.read(ROOT / "config/datasets.tsv")]
    sets = [name for name in sets if name != "deepstarr"]
    first, second = (other["hub"] for other in source["otherwise"])
    body = b"sequence,label\nACGTACGT,0\n"
    for folder, place in ((mirror_name, first), (str, second)):
        listed = {
            f"{folder(name)}/{split}.csv": body for name in sets for split in "abc"
        }
        listed["README.md"] = b"x"
        repository, commit = place["repository"], place["revision"]
        server.add_repository(repository, listed, commit, kind="dataset", lfs=listed)
        fetch(source, tmp_path / "out", name="gue")
        made = (tmp_path / "out").glob("GUE/*/*/*.csv")
        assert {str(p.relative_to(tmp_path / "out/GUE").parent) for p in made} == {
            *sets
        }
        assert {row[5] for row in ledger_of(tmp_path / "out")} == {
            f"{repository}@{commit}"
        }
        files.remove(tmp_path / "out")
        files.remove(tmp_path / "ledger")
        server.files.clear()
    said = refused(tmp_path / "out", "absent.zip: HTTP 404", source)
    assert first["repository"] in said and second["repository"] in said


def mirror_name(name):
    """The folder of an official one in leannmlindsey/GUE."""
    group, part = name.split("/")
    if group == "prom":
        return f"GUE/{part}"
    return f"GUE/{ {'EMP': 'emp', 'tf': 'human_tf'}.get(group, group) }_{part}"


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"b/": "x/"}, "no file whose path starts 'b/'"),
        ({"a/": "../"}, "leads out or is hidden"),
        ({"a/": "/"}, "leads out or is hidden"),
        ({"a/": "", "c/": ""}, "two files one name"),
    ],
)
def test_a_rename_that_means_harm_is_refused(server, rename, message):
    listed = {"a/train.csv": b"x", "c/train.csv": b"y"}
    server.add_repository("lab/set", listed, COMMIT, kind="dataset")
    source = hub.Repository("dataset", "lab/set", COMMIT, rename)
    with pytest.raises(RefusedError, match=message):
        hub.resolve(source)


def test_the_token_is_not_in_what_is_printed_of_a_file(server):
    add_model(server)
    (file, *_) = hub.resolve(hub.Repository("model", "lab/dna", "main"))
    assert "hf_made" in str(file.headers)
    assert "hf_made" not in repr(file)


ODD = [None, 0, -1, 1.5, True, "x", "\0", "a\nb", [], [1], {}, {"sha256": "zz"}]


def changed(value, draw):
    """The answer with one thing in it deleted, or something odd in its place."""
    if isinstance(value, dict) and value and draw.random() < 0.8:
        key = draw.choice([*value])
        rest = {name: one for name, one in value.items() if name != key}
        return rest if draw.random() < 0.1 else rest | {key: changed(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        place = draw.randrange(len(value))
        return [*value[:place], changed(value[place], draw), *value[place + 1 :]]
    return draw.choice(ODD)


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_an_answer_of_another_form_is_refused(server, monkeypatch, kind):
    """Or is of no matter: what is left are names, sizes and sums."""
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    add_model(server, kind=kind)
    place = f"/api/{kind}s/lab/dna/revision/main?blobs=true"
    good, draw = json.loads(server.files[place]), random.Random(1)
    rename = {"pytorch": "pytorch"} if kind == "dataset" else {}
    refused = 0
    for _ in range(100):
        server.files[place] = json.dumps(changed(good, draw)).encode()
        try:
            for file in hub.resolve(Repository(kind, "lab/dna", "main", rename)):
                assert file.name.isprintable() and (file.bytes or 0) >= 0
                assert all(bytes.fromhex(digest) for digest in file.digests.values())
        except RefusedError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 20


def test_weights_in_shards_are_taken_with_their_index():
    index = "model.safetensors.index.json"
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    names = ["README.md", *shards, index, "config.json", "modeling.py", "vocab.txt"]
    assert hub.choose("here", names) == ["config.json", index, *shards, "vocab.txt"]
    with pytest.raises(RefusedError, match=r"no model\.safetensors or pytorch_model"):
        hub.choose("here", [name for name in names if name != index])
    whole = hub.choose("here", [*names, "model.safetensors"])
    assert whole == ["config.json", "model.safetensors", "vocab.txt"]
