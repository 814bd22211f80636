"""Weights that are formulas of their names, so that they need not be stored. SPEC G-1.4, golden/README.md.

No bias is zero and no norm weight is one; the exponents keep the size of what goes through a matrix, so that attention
logits have a standard deviation of about 1 and decisions are clear.
"""

import math

import numpy
import torch
from golden_files import tensor_hash
from grid8 import gains, keeping_size, values

EMBEDDINGS = ("class_embedding", "position_embedding.weight", "patch_embedding.weight", "embed_tokens.weight")


def recipe(name, shape, shifts):
    """{"fill": "gains"} or {"fill": "grid8", "exp": e}; `shifts` adds to the exponent of names that contain a text."""
    if len(shape) == 1 and name.endswith("weight"):
        return {"fill": "gains"}
    if name.endswith("bias"):
        exp = -1 if "norm" in name else 0
    elif name.endswith(("class_embedding", "position_embedding.weight", "embed_tokens.weight")):
        exp = 0
    else:
        exp = keeping_size(math.prod(shape[1:]))
    exp += sum(shift for text, shift in shifts.items() if text in name)
    return {"fill": "grid8", "exp": exp}


def fill(model_id, module, shifts=None):
    """Fills all parameters of `module` and returns their description for the manifest. A tensor's stream is named
    `<model id>:<tensor name>`."""
    tensors = {}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            shape = tuple(parameter.shape)
            how = recipe(name, shape, shifts or {})
            stream = f"{model_id}:{name}"
            x = gains(stream, shape) if how["fill"] == "gains" else values(stream, shape, how["exp"])
            parameter.copy_(torch.from_numpy(x))
            single = numpy.ascontiguousarray(x.astype(numpy.float32))
            assert (single == x).all()
            check = [float(value) for value in single.reshape(-1)[:5]]
            tensors[name] = {"shape": list(shape), **how, "check": check, "sha256": tensor_hash(single)}
    return tensors


def formula_input(stream, shape, exp):
    """A record for the manifest, and the array in float64."""
    x = values(stream, shape, exp)
    record = {"formula": "grid8-v1", "stream": stream, "exp": exp, "shape": list(shape)}
    return {**record, "sha256": tensor_hash(numpy.ascontiguousarray(x.astype(numpy.float32)))}, x
