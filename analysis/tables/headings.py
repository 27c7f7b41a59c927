"""What the columns of a table of runs are called in this field, and which of a table's columns has which meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.tables.numbers import SCALES, unit_factor
from search_space.errors import SpecError

SPLIT_WORDS = ("", "val_", "valid_", "validation_", "eval_", "test_", "heldout_", "held_out_")
EXPORT_PREFIXES = ("metrics_", "metric_", "summary_", "config_", "params_", "hparams_")
"""What MLflow and Weights & Biases put in front of a name in their exports."""
SECOND_OF_A_NAME = re.compile(r"\.\d+$")
"""What pandas puts behind the second, third, ... column of one name."""
NOT_COUNTS = frozenset(
    ("%", "percent", "byte", "bytes", "kb", "mb", "gb", "tb", "mib", "gib", "step", "steps", "epoch", "epochs", "s", "h", "hours", "ms")
)
"""Units of something else than what a column is asked for."""


@dataclass(frozen=True)
class Meaning:
    """One thing that a column can hold."""

    name: str
    """What it is in `analysis.laws.options.Columns`, and its option."""
    headings: tuple[frozenset[str], ...]
    """Names in the form of `plain`; those of the first set that a table has are taken."""
    units: Mapping[str, float]
    """Words behind its numbers, or in its heading, with what they multiply by."""
    words: frozenset[str] = frozenset()
    """Where none of the headings is there, one that has such a word, if it is the only one."""

    @property
    def option(self) -> str:
        """The option that names its column."""
        return f"--{self.name.replace('_', '-')}"


def _counted(what: Sequence[str]) -> frozenset[str]:
    return frozenset(f"{before}{word}{after}" for word in what for before in ("", "num_", "n_", "total_") for after in ("", "_count"))


def _split(words: Sequence[str], before: Sequence[str] = SPLIT_WORDS) -> frozenset[str]:
    return frozenset(f"{split}{final}{word}" for word in words for split in before for final in ("", "final_")) | frozenset(
        f"final_{split}{word}" for word in words for split in before
    )


LOSSES = ("loss", "losses", "cross_entropy", "ce", "ce_loss", "nll", "nll_loss", "lm_loss")
MEANINGS = (
    Meaning(
        "params",
        (
            frozenset("n")
            | _counted(("params", "param", "parameters", "parameter", "nparams", "model_params", "model_parameters", "model_size")),
            _counted(("non_embedding_params", "non_embedding_parameters", "params_non_embedding", "params_no_embedding")),
        ),
        dict.fromkeys(("params", "param", "parameters", "parameter"), 1.0),
    ),
    Meaning(
        "tokens",
        (
            frozenset(("d", "tokens_seen", "tokens_trained", "consumed_tokens", "num_input_tokens_seen", "dataset_size"))
            | _counted(("tokens", "token", "ntokens", "training_tokens", "train_tokens", "data_tokens", "dataset_tokens")),
        ),
        dict.fromkeys(("tokens", "token", "tok", "toks"), 1.0),
    ),
    Meaning(
        "flops",
        (
            frozenset(("c", "compute", "training_compute", "train_compute", "total_compute", "flos", "total_flos"))
            | _counted(("flops", "flop", "training_flops", "train_flops", "compute_flops", "flops_total")),
        ),
        dict.fromkeys(("flops", "flop", "flos"), 1.0)
        | dict.fromkeys(("pf-days", "pfs-days", "pf-day", "pf days", "pflop/s-days", "petaflop/s-days", "petaflops-days"), 8.64e19),
    ),
    Meaning(
        "loss",
        (_split(LOSSES), _split(LOSSES, ("train_", "training_")), frozenset("l")),
        dict.fromkeys(("nats", "nat", "nats/token", "nat/token", "nats per token"), 1.0)
        | dict.fromkeys(("bits", "bit", "bits/token", "bits per token", "bpb", "bits/byte", "bits per byte", "bpc", "bits/char"), 1.0),
        frozenset(("loss",)),
    ),
)
HIDDEN_LAYERS = _counted(("hidden_layers",))
"""Blocks executed beside a column of stored ones, and stored where there is none: transformers knows no sharing."""
MODEL_WIDTH = Meaning(
    "width",
    (
        frozenset(("width", "d_model", "hidden", "hidden_size", "hidden_dim", "model_width", "model_dim", "n_embd", "embed_dim"))
        | frozenset(("embedding_dim", "residual_width")),
    ),
    {},
)
DEPTH = Meaning(
    "depth",
    (
        _counted(("unique_layers", "stored_layers", "layers_stored", "stored_blocks", "blocks_stored", "unique_blocks"))
        | frozenset(("stored", "stored_depth", "depth_stored")),
        _counted(("layers", "layer", "blocks", "block")) | frozenset(("depth",)),
        HIDDEN_LAYERS,
    ),
    {},
)
EXECUTED_DEPTH = Meaning(
    "executed_depth",
    (
        _counted(("executed_layers", "layers_executed", "executed_blocks", "blocks_executed", "unrolled_layers"))
        | frozenset(("executed", "executed_depth", "depth_executed", "effective_depth", "unrolled_depth")),
        HIDDEN_LAYERS,
    ),
    {},
)
REPEATS = Meaning("repeats", (_counted(("repeats", "repeat", "loops", "recurrences")),), {})
MEANING_OF = {meaning.name: meaning for meaning in (*MEANINGS, MODEL_WIDTH, DEPTH, EXECUTED_DEPTH, REPEATS)}
PERPLEXITY_WORDS = frozenset(("ppl", "perplexity", "perplexities"))
PERPLEXITIES = Meaning("loss", (_split(tuple(PERPLEXITY_WORDS)),), {"ppl": 1.0}, PERPLEXITY_WORDS)
SPREADS = frozenset(("std", "sd", "se", "err", "error", "sem", "var", "variance", "min", "max", "spread", "spike", "spikes", "scale"))
"""Words of columns about a loss that are not one."""


@dataclass(frozen=True)
class Heading:
    """A column's name, taken apart."""

    name: str
    """The name that stands in the table."""
    plain: str
    """Lower case with underscores, without its unit."""
    unit: str = ""
    """What stands in brackets behind it."""

    @classmethod
    def of(cls, name: str) -> Heading:
        """The heading of that name; `Eval/Loss` is `eval_loss`, `N (M)` is `n` in M."""
        found = re.fullmatch(r"(.*?)\s*(?:[(\[{]([^()\[\]{}]*)[)\]}]|,\s*(?:in\s+)?(\w+))\s*", name, re.DOTALL)
        stem, unit = (found[1], found[2] or found[3] or "") if found else (name, "")
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", SECOND_OF_A_NAME.sub("", stem).replace("#", " "))
        return cls(name, re.sub(r"[\s./:_-]+", "_", words).strip("_").lower(), unit)

    def means(self, headings: frozenset[str]) -> Heading | None:
        """The heading as one of these, with a unit that is a word of its name taken off; None where it is none of them."""
        shorter = next((self.plain.removeprefix(prefix) for prefix in EXPORT_PREFIXES if self.plain.startswith(prefix)), self.plain)
        for plain in (self.plain, shorter):
            stem, _, last = plain.rpartition("_")
            if plain in headings:
                return Heading(self.name, plain, self.unit)
            if not self.unit and last in SCALES and stem.removesuffix("_in") in headings:
                return Heading(self.name, stem.removesuffix("_in"), last)
        return None

    def factor(self, meaning: Meaning, where: object) -> float:
        """What its unit multiplies by, 1 for words that are no unit; raises SpecError for units of something else."""
        found = unit_factor(self.unit, meaning.units)
        if found is None and self.unit.strip().lower() in NOT_COUNTS:
            raise SpecError(
                f"{where}: {self.name} must hold {meaning.name}, found the unit {self.unit}; convert it, or name another column with "
                f"{meaning.option}"
            )
        return 1.0 if found is None else found

    def has_unit_of(self, meaning: Meaning) -> bool:
        """Whether its bracket is empty or a unit of such numbers, so that the whole name says no more than the words before it."""
        return not self.is_spread and unit_factor(self.unit, meaning.units) is not None

    @property
    def is_spread(self) -> bool:
        """Whether its bracket says that it is something about a column and not that column, as in `loss (std)`."""
        return not SPREADS.isdisjoint(re.split(r"\W+", self.unit.lower()))

    @property
    def is_perplexity(self) -> bool:
        """Whether its words say so."""
        return not PERPLEXITY_WORDS.isdisjoint(self.plain.split("_"))


def heading_named(name: str, names: Sequence[str]) -> Heading | None:
    """The column that a person names: exactly, or in other case and without its unit where only one is; None where there is none."""
    if name in names:
        return Heading.of(name)
    found = [heading for other in names if (heading := Heading.of(other)).plain == Heading.of(name).plain and not heading.is_spread]
    return found[0] if len(found) == 1 else None


def heading_meaning(meaning: Meaning, names: Sequence[str], where: object) -> Heading | None:
    """The column that has the meaning by its name, of several the one without words in its bracket that are no unit.

    None where none has it; raises SpecError where several have it alike.
    """
    names_of_it = [name for name in names if not Heading.of(name).is_spread]
    with_word = frozenset(
        plain
        for name in names_of_it
        if not meaning.words.isdisjoint(words := (plain := Heading.of(name).plain).split("_")) and SPREADS.isdisjoint(words)
    )
    for headings in (*meaning.headings, with_word):
        found = [heading for name in names_of_it if (heading := Heading.of(name).means(headings))]
        if len(found) > 1:
            found = [heading for heading in found if heading.has_unit_of(meaning)] or found
        if len(found) > 1:
            both = " and ".join(f"`{heading.name}` (column {names.index(heading.name) + 1})" for heading in found)
            raise SpecError(f"{where} must have one column of {meaning.name}, found {both}; name one with {meaning.option}")
        if found:
            return found[0]
    return None
