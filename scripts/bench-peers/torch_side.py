"""PyTorch on the CPU, the same orders as side.mjs. Needs torch and numpy; nothing else of the project does."""

import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

C, H, D, MLP, T, P, S, LAYERS = 1024, 16, 64, 4096, 577, 14, 336, 23


def pcg(x):
    state = (x * np.uint64(747796405) + np.uint64(2891336453)) & np.uint64(0xFFFFFFFF)
    word = ((state >> ((state >> np.uint64(28)) + np.uint64(4))) ^ state) & np.uint64(0xFFFFFFFF)
    word = (word * np.uint64(277803737)) & np.uint64(0xFFFFFFFF)
    return (word >> np.uint64(22)) ^ word


def random(shape, seed, deviation):
    places = np.arange(int(np.prod(shape)), dtype=np.uint64)
    bits = pcg(places ^ pcg(np.uint64(seed))) >> np.uint64(8)
    return torch.from_numpy(((bits / 2**23 - 1) * (deviation * 3**0.5)).astype(np.float32).reshape(shape))


def rows(N, K, seed):
    return random((N, K), seed, K**-0.5)


def dense(N, K, seed):
    weight, bias = rows(N, K, seed), random((N,), 10_000 + seed, 0.1)
    return lambda x: F.linear(x, weight, bias)


def norm(seed):
    weight, bias = 1 + random((C,), 20_000 + seed, 0.1), random((C,), 30_000 + seed, 0.1)
    return lambda x: F.layer_norm(x, (C,), weight, bias, 1e-5)


def layer_weights(index):
    first = 100 + 10 * index
    square = [dense(C, C, first + i) for i in range(4)]
    mlp = [dense(MLP, C, first + 4), dense(C, MLP, first + 5)]
    return square + mlp + [norm(first + 6), norm(first + 7)]


def layer(x, weights):
    q, k, v, out, up, down, attention_norm, mlp_norm = weights
    split = lambda y: y.view(1, T, H, D).transpose(1, 2)
    y = attention_norm(x)
    probs = torch.softmax(split(q(y) * D**-0.5) @ split(k(y)).transpose(2, 3), -1)
    x = x + out((probs @ split(v(y))).transpose(1, 2).reshape(1, T, C))
    hidden = up(mlp_norm(x))
    return x + down(hidden * torch.sigmoid(1.702 * hidden))


def tower(x, weights):
    patches = F.conv2d(x, weights["patch"].view(C, 3, P, P), stride=P).flatten(2).transpose(1, 2)
    x = weights["norm"](torch.cat([weights["cls"].view(1, 1, C), patches], 1) + weights["position"])
    for one in weights["layers"]:
        x = layer(x, one)
    return x


def repeated(times, step):
    def run(x):
        for _ in range(times):
            x = step(x)
        return x

    return run


def case(name):
    """The inputs, and what is done with them."""
    if name in ("matmul", "matmul-wide"):
        w = rows(MLP if name == "matmul-wide" else C, C, 1)
        return [(T, C)], [1], lambda x: x @ w.T
    if name == "attention":
        shape = (1, H, T, D)
        return [shape] * 3, [0.4, 0.4, 1], lambda q, k, v: torch.softmax(q @ k.transpose(2, 3), -1) @ v
    if name == "layer-norm":
        return [(T, C)], [1], repeated(16, norm(20))
    if name == "softmax":
        return [(H, T, T)], [1], repeated(4, lambda x: torch.softmax(x, -1))
    if name == "layer":
        w = layer_weights(0)
        return [(1, T, C)], [1], lambda x: layer(x, w)
    w = {
        "patch": rows(C, 3 * P * P, 10),
        "cls": random((C,), 11, 0.03),
        "position": random((T, C), 12, 0.03),
        "norm": norm(13),
        "layers": [layer_weights(i) for i in range(LAYERS)],
    }
    return [(1, 3, S, S)], [1], lambda x: tower(x, w)


def say(record):
    print(json.dumps(record), flush=True)


opened = {}
say({"ready": True, "side": "PyTorch, CPU", "version": torch.__version__, "threads": torch.get_num_threads()})
with torch.inference_mode():
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("close"):
            break
        try:
            name = order["case"]
            if name not in opened:
                shapes, deviations, run = case(name)
                opened[name] = [random(s, 900 + i, d) for i, (s, d) in enumerate(zip(shapes, deviations))], run
            inputs, run = opened[name]
            start = time.perf_counter()
            output = run(*inputs)
            ms = 1000 * (time.perf_counter() - start)
            if "save" in order:
                output.contiguous().numpy().tofile(order["save"])
                say({"saved": True})
            else:
                say({"ms": ms})
        except Exception as error:
            say({"failed": str(error).split("\n")[0]})
