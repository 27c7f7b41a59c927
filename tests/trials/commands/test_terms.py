"""What `explain` says of keys and fields, and what completes a command line."""

from __future__ import annotations

import difflib
import re
import subprocess
from pathlib import Path

import pytest

import archfront
from analysis.records.explained import record_fields
from trials.catalogue.ways import ROUNDING_WORDS
from trials.commands.terms import result_fields
from trials.commands.verbs import GROUPS, PURPOSES, VERBS
from trials.pretraining.recipes import OF_A_RECIPE
from trials.study.explained import study_keys
from trials.study.spec import ProxySpec

ROOT = Path(__file__).resolve().parents[3]


def test_every_key_of_a_study_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    keys = study_keys()
    assert len(keys) > 60
    for key, (kind, default, text) in keys.items():
        assert archfront.main(["explain", f"study.{key}"]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"study.{key}: {text}")
        assert f"takes    {kind}" in said
        assert text, key
        assert not re.search(r"\b(bool|int|str|float|True|False|None)\b", f"{kind} {default}"), key


def test_a_key_has_its_unit_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert archfront.main(["explain", "study.workers.deadline_seconds"]) == 0
    assert re.search(r"^takes    number, in seconds\ndefault  [\d.]+$", capsys.readouterr().out, re.MULTILINE)
    assert archfront.main(["explain", "study.search.reuse"]) == 0
    assert "takes    `true` or `false`\ndefault  true\n" in capsys.readouterr().out
    assert archfront.main(["explain", "study.proxy"]) == 0
    assert "keys     proxy.tokens, " in capsys.readouterr().out


def test_every_field_of_a_record_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    fields = record_fields()
    assert len(fields) > 80
    for field in fields:
        assert archfront.main(["explain", f"record.{field}"]) == 0
        assert capsys.readouterr().out.startswith(f"{field}: ")
    assert archfront.main(["explain", "record.wall_seconds"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["TrialRecord.wall_seconds", "Training.wall_seconds"]


def test_keys_of_a_recipe_and_fields_of_results_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    keys = [*OF_A_RECIPE, *ProxySpec.model_fields]
    for key in keys:
        assert archfront.main(["explain", f"recipe.{key}"]) == 0
        assert re.match(rf"recipe\.{key}: \S.*\ntakes    \S", capsys.readouterr().out), key
    fields = result_fields()
    assert {"ComparedModel.way", "TaskResult.chance", "Preference.placed_first", "ApiScores.intent", "Statement.seed"} <= {*fields}
    assert [name for name, (_, text) in fields.items() if not text] == []
    for field, (_, text) in fields.items():
        assert archfront.main(["explain", f"result.{field}"]) == 0
        assert capsys.readouterr().out.startswith(f"{field}: {text}")


def test_every_way_of_comparing_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for way in (*ROUNDING_WORDS, "prune30", "prune50+int8", "prune07+onnxruntime-int4"):
        assert archfront.main(["explain", way]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1 + way.count("+")
    assert archfront.main(["explain", "prune30+int9"]) == 2
    assert "did you mean" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("recipe.warmupsteps", "recipe.warmupsteps is unknown; did you mean `warmup_steps`?"),
        ("result.stored_byte", "result.stored_byte is unknown; did you mean `stored_bytes`?"),
        ("study.prxy.tokens", "study.prxy.tokens is unknown; did you mean `proxy.tokens`?"),
        ("record.wal_seconds", "record.wal_seconds is unknown; did you mean `wall_seconds`?"),
    ],
)
def test_what_is_mistyped_is_told_the_likeliest(asked: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert archfront.main(["explain", asked]) == 2
    assert said in capsys.readouterr().err


def mistyped(word: str) -> list[str]:
    """The word with each letter left out, and each pair of them changed round."""
    return [
        *(word[:place] + word[place + 1 :] for place in range(len(word))),
        *(word[:place] + word[place + 1] + word[place] + word[place + 2 :] for place in range(len(word) - 1)),
    ]


def test_a_mistyped_verb_is_told_the_likeliest_one(capsys: pytest.CaptureFixture[str]) -> None:
    words = sorted({name.partition(" ")[0] for name in VERBS})
    for word in words:
        for wrong in {*mistyped(word)} - {*words}:
            close = difflib.get_close_matches(wrong, words, n=1, cutoff=0.5)
            assert archfront.main([wrong]) == 2
            said = capsys.readouterr().err
            assert said.startswith(f"archfront: the verb {wrong} is unknown; ")
            assert len(said.splitlines()) == 1
            assert not close or "did you mean `" in said
    assert archfront.main(["rnu", "study.yaml"]) == 2
    assert "did you mean `run`?" in capsys.readouterr().err
    assert archfront.main(["job", "statsu"]) == 2
    assert "did you mean `status`?" in capsys.readouterr().err


def test_every_verb_stands_in_one_group_of_the_help_and_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for names in PURPOSES.values() for word in names]
    assert sorted(words) == sorted({name.partition(" ")[0] for name in VERBS})
    with pytest.raises(SystemExit):
        archfront.main(["--help"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    for word in words:
        assert re.search(rf"^  {word} ", said, re.MULTILINE), word
    for name, verb in VERBS.items():
        assert verb.example, name
        with pytest.raises(SystemExit):
            archfront.main([*name.split(), "--help"])
        assert f"example: archfront {name} {verb.example}" in " ".join(capsys.readouterr().out.split())
    for group in GROUPS:
        assert any(name.startswith(f"{group} ") for name in VERBS), group


def test_the_version_is_that_of_the_installation(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        archfront.main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"archfront \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_completion_offers_every_verb_in_bash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert archfront.main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef archfront")
    assert archfront.main(["completion", "bash"]) == 0
    (tmp_path / "completion").write_text(capsys.readouterr().out, encoding="utf-8")
    code = f"""source {tmp_path}/completion
COMP_WORDS=(archfront re); COMP_CWORD=1; COMP_LINE="archfront re"
_shtab_archfront; echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["report"]
