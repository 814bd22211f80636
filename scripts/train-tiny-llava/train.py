"""Trains the embedded model from nothing: python train.py WORK. See README.md beside this file."""

import argparse
import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from export import export
from tokenizer import read_tokenizer, train_tokenizer
from tower import train_gaze, train_tower
from whole import see, train_projector, train_whole
from words import train_words

STAGES = ("tokenizer", "tower", "words", "gaze", "whole", "export")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory():
    """glibc gives large blocks back to the system when they are freed, and fetching them again takes a third of a step."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def run_side_by_side(folder, stages):
    """Each stage in a process of its own, with one thread: together they take less time than one after the other."""
    command = [sys.executable, __file__, str(folder), "--threads", "1", "--stage"]
    running = [subprocess.Popen([*command, stage]) for stage in stages]
    if any([process.wait() != 0 for process in running]):
        sys.exit(f"train: one of {', '.join(stages)} failed")


def run_whole(folder):
    """-> the trained parts. What has been trained before is read from its checkpoint."""
    tokenizer = read_tokenizer(folder / "tokenizer.model")
    tower = train_gaze(folder, *train_tower(folder))
    decoder, signs, counter = train_words(folder, tokenizer)
    states, owners = see(tower, folder)
    projector = train_projector(folder, states, owners, signs)
    projector, decoder = train_whole(folder, states, owners, projector, decoder, counter, tokenizer)
    return tower, projector, decoder


def run(folder, stage):
    match stage:
        case "tokenizer":
            train_tokenizer(folder / "tokenizer.model")
        case "tower":
            train_tower(folder)
        case "words":
            train_words(folder, read_tokenizer(folder / "tokenizer.model"))
        case "gaze":
            train_gaze(folder, *train_tower(folder))
        case "whole":
            run_whole(folder)
        case "export":
            export(folder / "model", folder / "tokenizer.model", *run_whole(folder))


def main():
    parser = argparse.ArgumentParser(description="Trains the embedded model: WORK/model is the result.")
    parser.add_argument("folder", metavar="WORK", type=Path, help="where checkpoints, logs and the model are written")
    parser.add_argument("--stage", choices=STAGES, help="runs one stage; by default all that are not finished")
    parser.add_argument("--again", action="store_true", help="forgets the stage that is named, and begins it anew")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.again and arguments.stage is None:
        parser.error("--again needs the name of a stage: --stage")
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.again:
        forget(folder, arguments.stage)
    if arguments.stage is not None:
        run(folder, arguments.stage)
        return
    if not (folder / "tokenizer.model").exists():
        run(folder, "tokenizer")
    run_side_by_side(folder, ("tower", "words"))
    run(folder, "export")


FILES = {
    "tokenizer": ("tokenizer.model",),
    "tower": ("tower.pt", "tower.jsonl"),
    "words": ("words.pt", "words.jsonl"),
    "gaze": ("gaze.pt", "gaze.jsonl"),
    "whole": ("features.pt", "projector.pt", "projector.jsonl", "whole.pt", "whole.jsonl"),
    "export": ("model",),
}


def forget(folder, stage):
    for name in FILES[stage]:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
