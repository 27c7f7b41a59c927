"""Every format that a trial can be exported in, one row each: its file, what writes and checks it, what it cannot hold, its words.

A row names functions as `module:function` and they are imported where they are called (`pkgutil.resolve_name`), so that what a format
is can be asked without torch. Standard library only.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from search_space.errors import SpecError
from search_space.fields import refusal
from trials.catalogue.gguf_layout import GGUF_PRECISIONS, USUAL_PRECISION, gguf_refusal
from trials.catalogue.refusals import Refusal, hugging_face_refusal, no_refusal

ARCHITECTURE, EXECUTORCH, GGUF, ONNX = "architecture.yaml", "model.pte", "model.gguf", "model.onnx"
"""Names of files in an export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What a format is."""

    summary: str
    """A line for those who choose one."""
    usage: str
    """How the files are loaded, for the card of an export, in Markdown."""
    usage_shared: str = ""
    """How they are loaded where a shared block is held once, in Markdown; empty where the format knows of no such form."""
    file: str
    """Name of its file in an export, beside which its other files lie; empty where what loads it is given the folder."""
    writer: str
    """Function of the file's path and a `trials.formats.model.Model`, which writes it."""
    check: str
    """Function of the format's name, the written file's path and a `trials.export.check.Original`; returns a `Check` against it."""
    tokenizer_check: str | None = None
    """Function of a tokenizer's path, which raises SpecError where the format cannot hold that tokenizer; None where it holds any."""
    refusal: Refusal = no_refusal
    """Why a shape cannot be held in a precision, in a sentence with the cure; None where it can."""
    precisions: tuple[str, ...] = ("float32",)
    """What the writer can make of the weights, in the names of `search_space.cost.BITS_PER_WEIGHT`."""
    export_precisions: tuple[str, ...] = ("float32",)
    """Precisions that an export may have, because `check` knows what rounding explains; the first is the usual one."""
    precision_help: str = ""
    """Help of the option that chooses the precision of an export."""
    runtime: str | None = None
    """What runs the file and times it, by its name in `trials.catalogue.runtimes.RUNTIMES`; None where nothing of ours does."""
    keeps_cache: bool = False
    """Whether the file has room for the keys and values of its whole context inside, which whoever loads it must have."""
    unrolled: bool = False
    """Whether a block that runs several times is written once for each."""
    holds_chat: bool = False
    """Whether it carries a tokenizer with a chat template."""
    usual: bool = False
    """Whether it is written where no format is named."""
    hub_library: str | None = None
    """What the Hugging Face hub calls the library that loads it; None where the hub knows of none."""
    library: str = ""
    """The module that its writer needs where it is not among the dependencies."""
    install: str = ""
    """What `pip install` takes to bring it."""

    @property
    def installed(self) -> bool:
        """Whether what its writer needs is there; nothing is imported."""
        return not self.library or importlib.util.find_spec(self.library) is not None


FORMATS = {
    "hf": Format(
        holds_chat=True,
        summary="what transformers loads: config.json, safetensors, tokenizer",
        hub_library="transformers",
        usage="```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")\n'
        'text = tokenizer("def ", return_tensors="pt")\nprint(tokenizer.decode(model.generate(**text, max_new_tokens=16)[0]))\n```\n\n'
        "`lm_eval --model hf --model_args pretrained=. --tasks TASKS` scores it; `max_length=N` beside `pretrained` keeps prompts within\n"
        "the context of its training, and must be no less than the longest continuation.",
        usage_shared="Its blocks are stored once and run several times, which no class of transformers does: `modeling_archfront.py`\n"
        "beside the weights is code that runs where `trust_remote_code=True` says so; look at it first. A training step moves each stored\n"
        "weight once, and `save_pretrained` writes it once. What converts models of known classes, such as llama.cpp's scripts, wants\n"
        "the plain form, which an export without `--keep-sharing` is.\n\n"
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained(".", trust_remote_code=True)\ntokenizer = AutoTokenizer.from_pretrained(".")\n'
        'text = tokenizer("def ", return_tensors="pt")\nprint(tokenizer.decode(model.generate(**text, max_new_tokens=16)[0]))\n```\n\n'
        "`lm_eval --model hf --model_args pretrained=.,trust_remote_code=True --tasks TASKS` scores it.",
        file="",
        writer="trials.formats.hugging_face:write_hugging_face",
        check="trials.export.hugging_face_check:check_hugging_face",
        refusal=hugging_face_refusal,
        unrolled=True,
        usual=True,
    ),
    "onnx": Format(
        summary="a graph with its KV cache, for ONNX Runtime and other tools",
        hub_library="onnx",
        usage="`model.onnx` with `model.onnx_data` beside it, for ONNX Runtime: `input_ids`, `position_ids`, `num_logits_to_keep` and\n"
        "`past_key_values.N.key|value` in, `logits` and `present.N.key|value` out; the present is the next past. Batch 1.",
        file=ONNX,
        writer="trials.formats.onnx_graph:write_onnx",
        check="trials.export.runtime_check:check_in_runtime",
        precisions=("float32", "int8", "int4"),
        runtime="onnxruntime",
    ),
    "gguf": Format(
        holds_chat=True,
        summary="one file with the tokenizer, for llama.cpp",
        hub_library="gguf",
        usage="`model.gguf`, for llama.cpp: `llama-cli -m model.gguf -p 'def ' -n 16`, or with `pip install llama-cpp-python`\n\n"
        '```python\nfrom llama_cpp import Llama\n\nmodel = Llama("model.gguf", n_ctx=0)\n'
        'print(model("def ", max_tokens=16)["choices"][0]["text"])\n```',
        file=GGUF,
        writer="trials.formats.gguf_file:write_gguf",
        check="trials.export.gguf_check:check_gguf",
        tokenizer_check="trials.formats.gguf_tokenizer:require_tokenizer",
        refusal=gguf_refusal,
        precisions=tuple(GGUF_PRECISIONS),
        export_precisions=(USUAL_PRECISION, *(name for name in GGUF_PRECISIONS if name != USUAL_PRECISION)),
        precision_help=f"of the matrices in a GGUF file, llama.cpp's {', '.join(kind.lower() for kind in GGUF_PRECISIONS.values())}",
        runtime="llama.cpp",
        unrolled=True,
        library="gguf",
        install="'archfront[gguf]'",
    ),
    "executorch": Format(
        summary="a program with its KV cache inside, for ExecuTorch with XNNPACK",
        hub_library="executorch",
        usage="`model.pte` for ExecuTorch with XNNPACK: `forward(tokens, input_pos)`, int64 [1, tokens] and [1], gives the last\n"
        "token's logits, [1, vocab_size]. Keys and values stay inside; a text begins at position 0. In Python:\n\n"
        "```python\nimport torch\nfrom executorch.runtime import Runtime\n\n"
        'forward = Runtime.get().load_program("model.pte").load_method("forward")\n'
        "logits = forward.execute([torch.tensor([[5, 6, 7]]), torch.tensor([0])])[0]\n"
        "logits = forward.execute([torch.tensor([[8]]), torch.tensor([3])])[0]\n```",
        file=EXECUTORCH,
        writer="trials.formats.executorch:write_executorch",
        check="trials.export.runtime_check:check_in_subprocess",
        precisions=("float32", "int8", "int4"),
        runtime="executorch",
        keeps_cache=True,
        library="executorch",
        install="'archfront[executorch]'",
    ),
    "yaml": Format(
        summary="the plain architecture",
        usage="`architecture.yaml` is the shape: `archfront describe architecture.yaml`, or a study's `references: [architecture.yaml]`.",
        file=ARCHITECTURE,
        writer="trials.export.architecture_yaml:write_architecture_yaml",
        check="trials.export.architecture_yaml:check_architecture_yaml",
        usual=True,
    ),
}
"""Every format by its name, in the order in which several are written."""
MODEL_FORMATS = {name: row.runtime for name, row in FORMATS.items() if row.runtime is not None}
"""The runtime of those that are one model with its cache, so that it can be handed to a command that measures it."""
USUAL_MODEL_FORMAT = next(iter(MODEL_FORMATS))
"""What a command is handed where no format is named."""


def require_writer(name: str) -> None:
    """Raise SpecError, before anything is imported, where the library that writes a format is not installed."""
    row = FORMATS[name]
    if not row.installed:
        raise SpecError(f"the format {name} is written with the library {row.library}, which is not installed; pip install {row.install}")


def supported_exports(architecture: Architecture, precisions: Mapping[str, str] = {}) -> dict[str, str | None]:
    """Every format, and why this shape cannot have it; None where it can.

    `precisions` are those of the formats' weights where they are not the usual ones.
    """
    return {
        name: refusal(architecture, name) or row.refusal(architecture, precisions.get(name, row.export_precisions[0]))
        for name, row in FORMATS.items()
    }


def described_exports(architecture: Architecture) -> dict[str, str | None]:
    """Formats of exports, with rounded weights told apart where an export may have them: their blocks want widths of their own."""
    found = {}
    for name, reason in supported_exports(architecture).items():
        found[name] = reason
        rounded = [precision for precision in FORMATS[name].export_precisions if BITS_PER_WEIGHT[precision] < 16]
        if rounded:
            found[f"{name} {', '.join(rounded)}"] = FORMATS[name].refusal(architecture, rounded[0])
    return found
