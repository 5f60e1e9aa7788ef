"""The tokenizer of a saved folder: tokenizer.json, by which transformers reads raw DNA.

It cuts a sequence as our own commands do, in either case, U as T; words with spaces
between them are cut each by itself, so k-mers joined by spaces are what they were. It
needs no code but that of the library `tokenizers`.

That library only ever parts a text, and overlapping k-mers are no parts of it. So the
text is lengthened before it is cut, by replacements: every base becomes a group that
ends with a bar, `a|c|g|t|`, and before each bar the bases of the groups behind are put,
the next one first, `aCG|cGT|gT|t|`. Cut into three letters in upper case, what is whole
are the k-mers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from randommask import kmers
from randommask.files import write_json

BASES = "acgtn"
READ_AS = {
    "[^ACGTUacgtu\\s]": "n",
    "[Aa]": "a",
    "[Cc]": "c",
    "[Gg]": "g",
    "[TtUu]": "t",
}
"""Letters and what they are read as; first those that are no bases."""


def write(
    folder: str | Path,
    words: Sequence[str],
    specials: Mapping[str, str],
    *,
    cut: str,
    overlap: int = 1,
    around: tuple[Sequence[str], Sequence[str]],
    **config: Any,
) -> None:
    """Write tokenizer.json and tokenizer_config.json into `folder`.

    `words` stand in the order of their ids, `specials` are those among them by their
    part (`unk_token`, ...). `cut` is a pattern of a token in bases of upper case;
    where tokens overlap, `overlap` is their k. `around` are the specials before and
    after a sequence, `config` what tokenizer_config.json holds beside `specials`.
    """
    ids = {word: index for index, word in enumerate(words)}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(word, ids[word]) for word in specials.values()],
        "normalizer": {"type": "Sequence", "normalizers": _replacements(overlap)},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": cut},
            "behavior": "Removed",
            "invert": True,
        },
        "post_processor": _template(*around, ids),
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": ids,
            "unk_token": specials["unk_token"],
        },
    }
    write_json(Path(folder) / "tokenizer.json", tokenizer)
    # Of an architecture's own class transformers takes no more than the words.
    whole = {"tokenizer_class": "PreTrainedTokenizerFast", **specials, **config}
    write_json(Path(folder) / "tokenizer_config.json", whole)


def write_kmers(
    folder: str | Path, words: Sequence[str], tokenization: str, k: int, **more: Any
) -> None:
    """`write` for the words of `kmers`, remainders dropped."""
    overlap = k if tokenization == kmers.OVERLAPPING else 1
    write(folder, words, cut=f"[A-Z]{{{k}}}", overlap=overlap, **more)


def write_bert(folder: str | Path, k: int, tokenization: str, positions: int) -> None:
    """`write_kmers` for our own vocabulary, that of DNABERT."""
    parts = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    write_kmers(
        folder,
        kmers.words(k),
        tokenization,
        k,
        specials=dict(zip(parts, kmers.SPECIALS, strict=True)),
        around=(["[CLS]"], ["[SEP]"]),
        model_max_length=positions,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        do_lower_case=False,  # for who asks for BertTokenizer by its name
    )


def _replacements(overlap: int) -> list[dict[str, Any]]:
    """Sequences in upper case; where tokens overlap, as the groups told of above."""
    if overlap == 1:
        return [_replace(found, base.upper()) for found, base in READ_AS.items()]
    steps = [_replace(found, f"{base}|") for found, base in READ_AS.items()]
    for distance in range(1, overlap):
        between = f"(?:[{BASES}][A-Z]*\\|){{{distance - 1}}}"
        steps += [
            _replace(f"\\|(?={between}{base})", f"{base.upper()}|") for base in BASES
        ]
    return [*steps, *(_replace(base, base.upper()) for base in BASES)]


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _added(word: str, index: int) -> dict[str, Any]:
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    return {
        "id": index,
        "content": word,
        **dict.fromkeys(flags, False),
        "special": True,
    }


def _template(
    before: Sequence[str], after: Sequence[str], ids: Mapping[str, int]
) -> dict[str, Any]:
    """What stands around one sequence, and around the second of a pair."""

    def placed(words: Sequence[str], segment: int) -> list[dict[str, Any]]:
        return [{"SpecialToken": {"id": word, "type_id": segment}} for word in words]

    def sequence(name: str, segment: int) -> list[dict[str, Any]]:
        return [{"Sequence": {"id": name, "type_id": segment}}, *placed(after, segment)]

    single = [*placed(before, 0), *sequence("A", 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, *sequence("B", 1)],
        "special_tokens": {
            word: {"id": word, "ids": [ids[word]], "tokens": [word]}
            for word in (*before, *after)
        },
    }
