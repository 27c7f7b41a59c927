"""Whether LitGPT's own loader makes a network of a configuration that `archfront export --parameters` wrote: count and first-step loss.

    pip install litgpt torch safetensors          # in an environment of its own
    python -m benchmarks.litgpt_agreement FOLDER  # from the repository, in that environment

Our network's fresh weights go into LitGPT's, and both judge the same tokens.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from search_space.architecture import Architecture
from search_space.cost import parameters, unrolled_parameters
from trials.network.decoder import Network
from trials.trial.shape_file import read_shape

TOKENS = 256


def compared(folder: Path) -> dict[str, object]:
    """Counts, losses of the first step, and the largest difference of its gradients relative to the largest gradient."""
    from litgpt import GPT, Config  # type: ignore[import-not-found]  # in an environment of its own

    shape, _ = read_shape(folder / "architecture.yaml")
    ours, theirs = Network(shape, 0), GPT(Config.from_file(folder / "model_config.yaml"))
    theirs.load_state_dict(as_litgpt(shape, ours))
    if shape.tie_word_embeddings:
        theirs.lm_head.weight = theirs.transformer.wte.weight  # what --train.tie_embeddings does
    tokens = torch.randint(shape.vocab_size, (2, TOKENS + 1), generator=torch.Generator().manual_seed(0))
    losses = []
    for network in (ours, theirs):
        logits = network(tokens[:, :-1])
        losses.append(cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()))
        torch.autograd.backward(losses[-1])
    gradient, other = ours.get_parameter("model.embed_tokens.weight").grad, theirs.transformer.wte.weight.grad
    assert gradient is not None
    return {
        "shape": shape.label,
        "parameters": parameters(shape),
        "unrolled_parameters": unrolled_parameters(shape),
        "litgpt_parameters": sum(each.numel() for each in theirs.parameters()),
        "loss": losses[0].item(),
        "litgpt_loss": losses[1].item(),
        "gradient_difference": ((gradient - other).abs().max() / gradient.abs().max()).item(),
    }


def as_litgpt(shape: Architecture, network: Network) -> dict[str, Tensor]:
    """Our weights by LitGPT's names: queries, keys and values one below the other."""
    state = network.state_dict()
    names = {
        "norm_1": "input_layernorm",
        "norm_2": "post_attention_layernorm",
        "attn.proj": "self_attn.o_proj",
        "attn.norm_q": "self_attn.q_norm",
        "attn.norm_k": "self_attn.k_norm",
        "mlp.fc_1": "mlp.gate_proj",
        "mlp.fc_2": "mlp.up_proj",
        "mlp.fc": "mlp.up_proj",
        "mlp.proj": "mlp.down_proj",
    }
    if shape.mlp == "swiglu":
        del names["mlp.fc"]
    else:
        del names["mlp.fc_1"], names["mlp.fc_2"]
    table = state["model.embed_tokens.weight"]
    found = {
        "transformer.wte.weight": table,
        "lm_head.weight": table if shape.tie_word_embeddings else state["lm_head.weight"],
        "transformer.ln_f.weight": state["model.norm.weight"],
    }
    for layer in range(shape.num_hidden_layers):
        here, there = f"model.layers.{layer}", f"transformer.h.{layer}"
        for theirs, ours in names.items():
            if (tensor := state.get(f"{here}.{ours}.weight")) is not None:
                found[f"{there}.{theirs}.weight"] = tensor
        for kind in ("weight", "bias"):
            parts = [state.get(f"{here}.self_attn.{part}_proj.{kind}") for part in "qkv"]
            if parts[0] is not None:
                found[f"{there}.attn.qkv.{kind}"] = torch.cat([part for part in parts if part is not None])
    return found


if __name__ == "__main__":
    for each in sys.argv[1:]:
        print(json.dumps(compared(Path(each))))
