"""golden/llama: transformers' LlamaForCausalLM with formula weights: every layer, the logits, and greedy decoding.

The authors' code changes nothing in the decoder; it is transformers' own, as LLaVA uses it.
"""

import numpy
import torch
from authors_code import default_dtype, host
from ensemble import DTYPES, evaluations
from formula_weights import fill
from golden_files import Group
from grid8 import splitmix64
from transformers import LlamaConfig, LlamaForCausalLM

STEPS = 6
FLOAT32_INSIDE = ("LlamaRMSNorm",)
KINDS = {
    "inputEmbeds": ("copy", None),
    "layers.*.keys": ("real", "rms"),
    "layers.*.values": ("real", "rms"),
    "layers.*.hiddenStates": ("real", "rms"),
    "logits": ("real", "rms"),
    "greedyLogits": ("real", "rms"),
    "greedyIds": ("argmax", None),
}


def greedy(model, token_ids, forced=None):
    """STEPS tokens one after the other, through the cache: ids [B, STEPS] and the logits that chose them [B, STEPS, V]."""
    step, cache, ids, logits = torch.tensor(token_ids), None, [], []
    for i in range(STEPS):
        output = model(step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logits.append(output.logits[:, -1])
        chosen = logits[-1].argmax(-1) if forced is None else torch.tensor(forced[:, i])
        ids.append(chosen)
        step = chosen[:, None]
    return torch.stack(ids, 1).numpy(), host(torch.stack(logits, 1))


def build(model_id, config, dtype):
    """The model, and how its weights are made."""
    with default_dtype(dtype):
        model = LlamaForCausalLM(LlamaConfig(**config, attn_implementation="eager")).eval().to(dtype)
    return model, fill(model_id, model)


def run(model, token_ids, dtype, forced=None):
    layer_outputs = {}
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output, i=i: layer_outputs.__setitem__(i, output[0]))
        for i, layer in enumerate(model.model.layers)
    ]
    with default_dtype(dtype), torch.no_grad():
        output = model(torch.tensor(token_ids), use_cache=True)
        stages = {"inputEmbeds": host(model.model.embed_tokens(torch.tensor(token_ids)))}
        for i, (keys, values) in enumerate(output.past_key_values):
            stages[f"layers.{i}.keys"] = host(keys)
            stages[f"layers.{i}.values"] = host(values)
            stages[f"layers.{i}.hiddenStates"] = host(layer_outputs[i])
        stages["logits"] = host(output.logits[:, -1])
        for hook in hooks:
            hook.remove()
        ids, logits = greedy(model, token_ids, forced)
    return {**stages, "greedyLogits": logits, "greedyIds": ids}


def add_llama(group, model_id, config, batch, length, flags=()):
    numbers = splitmix64(f"{model_id}:tokenIds", batch * length) >> numpy.uint64(11)
    token_ids = (numbers % numpy.uint64(config["vocab_size"])).astype(numpy.int64).reshape(batch, length)
    model, weights = build(model_id, config, torch.float64)
    exact = run(model, token_ids, torch.float64)
    models = {dtype: build(model_id, config, dtype)[0] for dtype in DTYPES.values()}
    legitimate = {}
    for one in group.evaluations:
        with one.arithmetic():
            stages = run(models[one.dtype], token_ids, one.dtype, forced=exact["greedyIds"])
        legitimate[one] = {name: x for name, x in stages.items() if name not in ("inputEmbeds", "greedyIds")}
    ordered = numpy.sort(exact["greedyLogits"], axis=-1)
    gaps = (ordered[..., -1] - ordered[..., -2]).tolist()
    group.weights[model_id] = {"config": config, "tensors": weights}
    params = {"B": batch, "T": length, "steps": STEPS}
    flags = sorted(flags)
    group.add(model_id, {"tokenIds": token_ids}, exact, legitimate, params=params, flags=flags, margins={"greedy": gaps})


def config(hidden, mlp, layers, heads, kv_heads, vocab, theta=10000.0, tied=False, eps=1e-5):
    return {
        "hidden_size": hidden,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        "rms_norm_eps": eps,
        "rope_theta": theta,
        "max_position_embeddings": 512,
        "tie_word_embeddings": tied,
    }


def llama(authors):
    group = Group(
        "llama",
        "Small Llama decoders with formula weights: grouped-query and multi-head attention, odd sizes, a tied head, scaled positions.",
        ["M-5", "M-7.1"],
        KINDS,
        evaluations(),
        FLOAT32_INSIDE,
    )
    add_llama(group, "llama-multi-head", config(32, 64, 3, 4, 4, 96), 1, 24)
    add_llama(group, "llama-grouped", config(48, 80, 3, 8, 2, 96), 2, 17, flags=["GroupedQuery"])
    add_llama(group, "llama-one-key-head", config(24, 40, 2, 4, 1, 64, theta=500.0), 1, 90, flags=["GroupedQuery"])
    add_llama(group, "llama-odd-sizes", config(30, 41, 3, 3, 3, 101), 1, 13, flags=["OddSizes"])
    add_llama(group, "llama-tied-head", config(32, 48, 2, 4, 2, 77, tied=True), 1, 20, flags=["TiedHead"])
    scaled = {**config(32, 56, 2, 4, 2, 83), "rope_scaling": {"type": "linear", "factor": 2.5}}
    add_llama(group, "llama-linear-scaling", scaled, 1, 60, flags=["LinearScaling"])
    return group
