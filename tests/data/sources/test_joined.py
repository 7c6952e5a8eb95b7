"""Several sources as one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from memgate.data.sources.joined import Joined, _prefixes
from memgate.data.sources.jsonl import JsonLines
from memgate.data.sources.linzen import Linzen
from memgate.errors import InputError

LONG = "the man who saw them all"


def source(folder: Path, **prefixes: list[str]) -> JsonLines:
    files = {}
    folder.mkdir()
    for split in ("train", "validation", "test"):
        rows = [
            {"prefix": prefix, "label": "sg", "id": f"{folder.name}-{split}-{row}"}
            for row, prefix in enumerate(prefixes.get(split, [f"some {split}"]))
        ]
        files[split] = [str(folder / f"{split}.jsonl")]
        Path(files[split][0]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonLines(files["train"], files["validation"], files["test"])


def test_splits_are_joined_in_order_without_the_prefixes_that_are_held_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = source(tmp_path / "one", train=["a dog", LONG, "it"], test=["it"])
    two = source(tmp_path / "two", train=["one two three", LONG.upper()], validation=[f"{LONG} s"])
    three = source(tmp_path / "three", test=[LONG.title()])
    splits = Joined([one, two, three]).load()
    # "it" is left out by its own source, whose test has the same sentence
    assert _prefixes(splits["train"]) == ["a dog", "one two three", "some train"]
    assert splits["validation"]["id"] == [
        "one-validation-0",
        "two-validation-0",
        "three-validation-0",
    ]
    assert splits["test"]["id"] == ["one-test-0", "two-test-0", "three-test-0"]
    assert "left out 2 training items whose prefix is in validation or test" in caplog.text


def test_a_prefix_that_is_held_out_with_a_word_as_tag_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = "he was lambasted in 1987 for telling journalists that crime"
    tagged = words.replace("lambasted", "VBN")
    masked = source(tmp_path / "masked", train=[tagged, tagged.replace("journalists", "NNS")])
    spelt = source(tmp_path / "spelt", test=[words])
    splits = Joined([masked, source(tmp_path / "more", train=[words.upper()]), spelt]).load()
    assert _prefixes(splits["train"]) == ["some train"]
    assert "left out 1 training items whose prefix is in validation or test" in caplog.text
    assert (
        "left out 2 training items whose prefix is in validation or test but for masked words"
        in caplog.text
    )


def test_long_prefixes_are_left_out(tmp_path: Path) -> None:
    one = source(
        tmp_path / "one", train=["a b c", "a b"], test=["a b c d", "b"], validation=["b c"]
    )
    splits = Joined([one], max_words=2).load()
    assert _prefixes(splits["train"]) == ["a b"]
    assert _prefixes(splits["test"]) == ["b"]
    with pytest.raises(InputError, match="train: expected items that are kept, got none of 2"):
        Joined([one], max_words=1).load()


@pytest.mark.parametrize(
    ("sources", "words", "message"),
    [([], None, "sources: expected"), ([None], 0, "max_words: expec")],
)
def test_what_is_impossible_is_refused(
    sources: list[JsonLines], words: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Joined(sources, words)


@pytest.mark.skipif("MEMGATE_DATA" not in os.environ, reason="MEMGATE_DATA is not set")
def test_the_setting_of_linzen_et_al() -> None:
    linzen = "$MEMGATE_DATA/linzen/"
    attractor_free = [linzen + "linzen_testset_attr0.jsonl.gz"]
    one = JsonLines(
        ["$MEMGATE_DATA/ud/*_train.jsonl.gz"], ["$MEMGATE_DATA/ud/*_dev.jsonl.gz"], attractor_free
    )
    other = Linzen([linzen + "numpred.val.tsv.gz"], 0.05, [linzen + "numpred.test.[45].tsv.gz"])
    splits = Joined([one, other], max_words=49).load()
    assert max(prefix.count(" ") for prefix in _prefixes(splits["train"])) < 49
    counts = splits["test"].to_pandas()["n_attractors"].value_counts()
    assert counts.to_dict() == {0: 1970, 4: 269, 5: 159}


def test_without_the_data_other_sources_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora, instead = source(tmp_path / "corpora"), source(tmp_path / "instead")
    for folder, expected in (("/some/folder", "corpora"), ("", "instead")):
        monkeypatch.setenv("MEMGATE_DATA", folder)
        assert Joined([corpora], without_data=[instead]).load()["test"]["id"] == [
            f"{expected}-test-0"
        ]
    monkeypatch.delenv("MEMGATE_DATA")
    assert Joined([corpora], without_data=[instead]).load()["test"]["id"] == ["instead-test-0"]
    assert Joined([corpora]).load()["test"]["id"] == ["corpora-test-0"]
