"""What was written, loaded again by the tools that it is for, and held against the original network and tokenizer."""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer
from torch import Tensor

from analysis.records.latency import Latency
from search_space.architecture import Architecture
from search_space.errors import WorkError
from trials.catalogue.formats import ARCHITECTURE, EXECUTORCH, GGUF, ONNX
from trials.network.weights import load_network

VERIFICATION = "verification.json"
POSITIONS = 64
LARGEST_DIFFERENCE = 1e-3
"""Between logits, relative to the standard deviation of the original's."""
STRINGS = 300
SCRIPTS = (
    (0x20, 0x7E), (0xA1, 0x17F), (0x370, 0x3FF), (0x400, 0x45F), (0x5D0, 0x5EA), (0x620, 0x64A), (0x905, 0x939), (0xE01, 0xE3A),
    (0x3041, 0x3096), (0x4E00, 0x4FFF), (0xAC00, 0xACFF), (0x1F600, 0x1F64F),
)  # fmt: skip
"""First and last character of Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Hiragana, Chinese, Hangul and emoji."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One format against the original."""

    format: str
    loaded_by: str
    """Library and version, or what is missing."""
    passed: bool | None
    """None where the check could not be made."""
    positions: int | None = None
    """At which logits were compared."""
    largest_difference: float | None = None
    """Of a logit, relative to the standard deviation of the original's."""
    top1_agreement: float | None = None
    """Share of positions with the same most probable next token."""
    kl_nats: float | None = None
    """Mean divergence of the next-token distribution from the original's."""
    strings: int | None = None
    """Whose token ids were compared."""
    strings_equal: int | None = None
    precision: str | None = None
    """Of the file's weights, where the format has several."""
    rounding: float | None = None
    """Root mean square difference from our network with the file's rounded weights, relative to the spread of its logits."""
    failure: str | None = None
    """Why there are no figures."""

    latency: Latency | None = None
    """Of the study's workload in the runtime that the file is for; None where there is none of ours, or see `not_measured`."""
    not_measured: str | None = None
    """Why a runtime of ours gave no latency."""

    def sentence(self) -> str:
        """What was found, in words."""
        if self.passed is None:
            return f"{self.format} is not verified: {self.loaded_by}"
        found = [self.failure] if self.failure else []
        if self.rounding is not None and self.precision != "float32":
            assert self.top1_agreement is not None
            found.append(
                f"logits are those of the weights in {self.precision} within {self.rounding:.1e} of their spread; against the trained "
                f"weights the most probable token agrees at {self.top1_agreement:.1%} of positions, and {self.kl_nats:.1e} nats are lost"
            )
        elif self.largest_difference is not None:
            found.append(f"logits differ by {self.largest_difference:.1e} of their spread at most ({LARGEST_DIFFERENCE:g} is allowed)")
        if self.strings is not None:
            found.append(f"token ids are equal for {self.strings_equal} of {self.strings} strings")
        return f"{self.format}, loaded by {self.loaded_by}: {'; '.join(found) or 'reads back equal'}"


@dataclass(frozen=True)
class Original:
    """The trained network and its tokenizer, which an export must equal."""

    architecture: Architecture
    weights: Path
    tokenizer: Path

    @property
    def tokens(self) -> Tensor:
        """At which logits are compared, [1, positions]; always the same."""
        return torch.randint(self.architecture.vocab_size, (1, POSITIONS), generator=torch.Generator().manual_seed(0))

    @cached_property
    def logits(self) -> Tensor:
        """Of the tokens, [positions, vocab_size]; the network is loaded for the formats that need them."""
        with torch.no_grad():
            logits: Tensor = load_network(self.weights, self.architecture).float()(self.tokens)[0]
        return logits


def verify(formats: Sequence[str], directory: Path, architecture: Architecture, weights: Path, tokenizer: Path) -> list[Check]:
    """Check each format in a directory where it was just written, and write verification.json.

    Raises WorkError where a check fails: an export that is not the model is worse than none.
    """
    original = Original(architecture, weights, tokenizer)
    checks = [CHECKS[name](directory, original) for name in formats]
    keep(checks, directory)
    failed = [check.sentence() for check in checks if check.passed is False]
    if failed:
        raise WorkError(f"the export in {directory} must equal the trained model and does not: {'; '.join(failed)}; do not use it")
    return checks


def keep(checks: Sequence[Check], directory: Path) -> None:
    """Write verification.json."""
    (directory / VERIFICATION).write_text(json.dumps([asdict(check) for check in checks], indent=2) + "\n", encoding="utf-8")


def strings_of_many_scripts() -> list[str]:
    """Some hundred strings, always the same: words of one script, and mixtures."""
    chance = random.Random(0)
    return [
        " ".join(_word(chance, chance.choice(SCRIPTS) if number % 3 else SCRIPTS[number % len(SCRIPTS)]) for _ in range(1 + number % 7))
        for number in range(STRINGS)
    ]


def _word(chance: random.Random, script: tuple[int, int]) -> str:
    return "".join(chr(chance.randint(*script)) for _ in range(chance.randint(1, 9)))


def _check_hugging_face(directory: Path, original: Original) -> Check:
    if importlib.util.find_spec("transformers") is None:
        return Check(format="hf", loaded_by="transformers is not installed; pip install transformers, and export again", passed=None)
    import transformers

    own, strings = Tokenizer.from_file(str(original.tokenizer)), strings_of_many_scripts()
    with _quiet(transformers.utils.logging), torch.no_grad():
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
        found = model(original.tokens).logits[0]
        loaded = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
        equal = sum(loaded.encode(text, add_special_tokens=False) == own.encode(text, add_special_tokens=False).ids for text in strings)
    return judged("hf", f"transformers {transformers.__version__}", original.logits, found, equal)


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep transformers' progress bars and remarks off the terminal: what a user should know stands in the check."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def _check_onnx(directory: Path, original: Original) -> Check:
    from trials.latency.runtimes import onnx_runtime

    session = onnx_runtime.open_graph(directory / ONNX, original.architecture, threads=1)
    ids = original.tokens[0].tolist()
    at_once = session.prefill(ids).copy()  # the runtime reuses its memory
    one_by_one = [session.prefill(ids[:1]).copy(), *(session.decode(token).copy() for token in ids[1:])]
    session.close()
    found = torch.stack([torch.from_numpy(row) for row in (*one_by_one, at_once)])
    return judged("onnx", f"onnxruntime {onnx_runtime.version()}", torch.cat((original.logits, original.logits[-1:])), found)


def _check_gguf(directory: Path, original: Original) -> Check:
    from trials.export.gguf_check import check_gguf  # gguf is not among the dependencies

    return check_gguf(directory / GGUF, original)


def _check_executorch(directory: Path, original: Original) -> Check:
    from trials.export.executorch_logits import logits_apart
    from trials.latency.runtimes import executorch_runtime

    loaded_by = f"executorch {executorch_runtime.version()}"
    try:
        found = torch.from_numpy(logits_apart(directory / EXECUTORCH, original.tokens[0].tolist()))
    except WorkError as failure:
        return Check(format="executorch", loaded_by=loaded_by, passed=False, failure=str(failure))
    return judged("executorch", loaded_by, torch.cat((original.logits, original.logits[-1:])), found)


def _check_yaml(directory: Path, original: Original) -> Check:
    found = Architecture.from_dict(yaml.safe_load((directory / ARCHITECTURE).read_text(encoding="utf-8")))
    return Check(format="yaml", loaded_by="archfront", passed=found == original.architecture)


def judged(name: str, loaded_by: str, original: Tensor, found: Tensor, strings_equal: int | None = None) -> Check:
    """The check of logits [positions, vocab_size], and of token ids where there is a tokenizer."""
    difference = ((found - original).abs().max() / original.std()).item()
    kl = torch.nn.functional.kl_div(found.log_softmax(-1), original.log_softmax(-1), reduction="batchmean", log_target=True).item()
    return Check(
        format=name,
        loaded_by=loaded_by,
        passed=difference <= LARGEST_DIFFERENCE and strings_equal in (None, STRINGS),
        positions=len(original),
        largest_difference=difference,
        top1_agreement=(found.argmax(-1) == original.argmax(-1)).float().mean().item(),
        kl_nats=max(0.0, kl),
        strings=None if strings_equal is None else STRINGS,
        strings_equal=strings_equal,
    )


CHECKS: dict[str, Callable[[Path, Original], Check]] = {
    "hf": _check_hugging_face,
    "onnx": _check_onnx,
    "gguf": _check_gguf,
    "executorch": _check_executorch,
    "yaml": _check_yaml,
}
"""What verifies each format of `trials.catalogue.formats.FORMATS`."""
