"""Writes golden/<group>: what the authors' own code computes. See README.md beside this file.

    VENV/bin/python scripts/export-golden/original.py --visionzip DIR --llava DIR golden [GROUP ...]
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import torch
from authors_code import import_authors, provenance
from clip_towers import clip_full, clip_large, clip_tiny
from llama_cases import llama
from llava_layouts import llava_layouts
from select_merge import select_merge
from tiny_llava import embedded

GROUPS = {
    "select-merge": select_merge,
    "clip-tiny": clip_tiny,
    "clip-large": clip_large,
    "clip-full": clip_full,
    "llama": llama,
    "llava-layouts": llava_layouts,
    "embedded": embedded,
}


def main():
    parser = argparse.ArgumentParser(description="Writes golden/<group> from the authors' own code.")
    parser.add_argument("--visionzip", required=True, help="a checkout of dvlab-research/VisionZip at 3151f6d")
    parser.add_argument("--llava", required=True, help="a checkout of haotian-liu/LLaVA at c121f04")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("out", help="the folder in which a folder for each group is written")
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; all of them by default")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    authors = import_authors(arguments.visionzip, arguments.llava)
    for name in arguments.groups or GROUPS:
        group = GROUPS[name](authors)
        root = group.write(Path(arguments.out) / name, provenance(arguments))
        print(f"{name}: {len(group.cases)} cases, {len(group.tensors)} tensors, {root}")


if __name__ == "__main__":
    main()
