"""Writes the tensors of pytorch_model*.bin as safetensors, names and types untouched. See README.md.

    python convert.py DIR [--out DIR] [--max-shard-gb 5]
"""

import argparse
import json
import os
import pickle
import sys
import zipfile

import torch
from safetensors.torch import save_file

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"


def shard_names(folder):
    """The .bin files of a checkpoint, in order. A name in the index must be one in the same folder."""
    if os.path.isfile(os.path.join(folder, SINGLE)):
        return [SINGLE]
    path = os.path.join(folder, INDEX)
    if not os.path.isfile(path):
        sys.exit(f"{folder}: expected {SINGLE} or {INDEX}, got neither")
    with open(path, encoding="utf-8") as file:
        names = sorted(set(json.load(file)["weight_map"].values()))
    for name in names:
        if os.path.basename(name) != name or not name.endswith(".bin"):
            sys.exit(f"{path}: expected plain names *.bin, got {name!r}")
    return names


def load(path):
    # weights_only: the unpickler makes tensors and nothing else.
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        sys.exit(f"{path}: expected a file of tensors and nothing else, got other objects")
    except (RuntimeError, EOFError) as error:
        sys.exit(f"{path}: expected a whole file, got {str(error).split('. ')[0]}")
    if not isinstance(state, dict):
        sys.exit(f"{path}: expected tensors by name, got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            sys.exit(f"{path}: expected tensors by name, got {type(value).__name__} {name!r}")
    return state


def plan(folder, names, limit):
    """Which tensors go into which output shard: groups of (bin file, tensor name), each below `limit` bytes."""
    groups, sizes, seen = [[]], [0], {}
    for bin_name in names:
        for name, value in load(os.path.join(folder, bin_name)).items():
            if name in seen:
                sys.exit(f"{folder}: expected {name!r} once, got it in {seen[name]} and {bin_name}")
            seen[name] = bin_name
            size = value.numel() * value.element_size()
            if groups[-1] and sizes[-1] + size > limit:
                groups.append([])
                sizes.append(0)
            groups[-1].append((bin_name, name))
            sizes[-1] += size
    return groups, sum(sizes)


def write(folder, out, groups, total):
    single = len(groups) == 1
    targets = ["model.safetensors"] if single else [
        f"model-{i + 1:05d}-of-{len(groups):05d}.safetensors" for i in range(len(groups))
    ]
    index_name = "model.safetensors.index.json"
    for name in ["model.safetensors", index_name, *targets]:
        if os.path.exists(os.path.join(out, name)):
            sys.exit(f"{out}/{name}: expected no file of that name, got one")
    temporary = {name: os.path.join(out, f".{name}.{os.getpid()}.tmp") for name in [*targets, index_name]}
    try:
        for group, target in zip(groups, targets):
            states = {bin_name: load(os.path.join(folder, bin_name)) for bin_name in {bin_name for bin_name, _ in group}}
            # A copy of its own for each tensor: safetensors takes none that share memory.
            tensors = {name: states[bin_name][name].detach().clone().contiguous() for bin_name, name in group}
            save_file(tensors, temporary[target], metadata={"format": "pt"})
        if not single:
            weight_map = {name: target for group, target in zip(groups, targets) for _, name in group}
            with open(temporary[index_name], "w", encoding="utf-8") as file:
                json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, file, indent=2, sort_keys=True)
        # The index last: a checkpoint is whole when it is there.
        for name in targets if single else [*targets, index_name]:
            os.rename(temporary[name], os.path.join(out, name))
    finally:
        for path in temporary.values():
            if os.path.exists(path):
                os.remove(path)
    return targets


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out")
    parser.add_argument("--max-shard-gb", type=float, default=5)
    options = parser.parse_args()
    out = options.out or options.folder
    os.makedirs(out, exist_ok=True)
    groups, total = plan(options.folder, shard_names(options.folder), options.max_shard_gb * 1e9)
    targets = write(options.folder, out, groups, total)
    print(f"{sum(map(len, groups))} tensors, {total} bytes: {', '.join(os.path.join(out, name) for name in targets)}")


if __name__ == "__main__":
    main()
