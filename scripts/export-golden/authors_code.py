"""Reaches the authors' code in the checkouts that the user names, and watches it run. Nothing of it is changed or copied."""

import contextlib
import hashlib
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import torch
import transformers
from torch.overrides import TorchFunctionMode

WATCHED = ("topk", "argmax", "isin", "clamp")


class Watch(TorchFunctionMode):
    """Notes the arguments and results of the few torch functions by which the selection decides."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", None)
        if name in WATCHED:
            self.calls.setdefault(name, []).append((args, result))
        return result


def import_authors(visionzip, llava):
    """The modules of both checkouts, on the import path from here on."""
    sys.path[:0] = [str(Path(visionzip).resolve()), str(Path(llava).resolve())]
    import visionzip.clip_encoder
    import visionzip.main
    from llava.model.multimodal_encoder.clip_encoder import CLIPVisionTower

    return SimpleNamespace(
        select=visionzip.clip_encoder.CLIPVisionTower_VisionZip.forward,
        visionzip=visionzip.main.visionzip,
        tower_class=CLIPVisionTower,
    )


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def host(x):
    """A tensor in NumPy, reals in float64: what is done with them there adds no error."""
    return (x.double() if x.is_floating_point() else x).numpy()


def commit_of(folder):
    return subprocess.check_output(["git", "-C", str(folder), "rev-parse", "HEAD"], text=True).strip()


def provenance(arguments):
    sources = sorted((Path(arguments.visionzip) / "visionzip").glob("*.py"))
    hashes = {f"visionzip/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in sources}
    return {
        "producedBy": "original",
        "repositories": {
            "dvlab-research/VisionZip": commit_of(arguments.visionzip),
            "haotian-liu/LLaVA": commit_of(arguments.llava),
        },
        "sourceHashes": hashes,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": numpy.__version__,
        },
        "system": f"{platform.system()} {platform.machine()}",
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "deterministicAlgorithms": torch.are_deterministic_algorithms_enabled(),
        "dtype": "float64",
        "formula": "grid8-v1",
    }


def zip_stages(watch, tokens, all_indices, token_count):
    """What one run of the authors' selection decided, under the names of this library; index tensors count tokens."""
    (scores, *_), _ = watch.calls["topk"][-1]
    (similarity, *_), assignment = watch.calls["argmax"][-1]
    (_, target_places), _ = watch.calls["isin"][-1]
    (one_hot_sums, *_), _ = watch.calls["clamp"][-1]
    by_score = all_indices.numpy()
    kept = numpy.sort(by_score, axis=1)
    rest = numpy.stack([numpy.setdiff1d(numpy.arange(token_count), row) for row in kept])
    targets = rest[:, target_places.numpy()]
    return {
        "scores": host(scores),
        "keptTokenIndices": kept,
        "targetTokenIndices": targets,
        "similarity": host(similarity),
        "assignment": assignment.numpy(),
        "counts": one_hot_sums.numpy().astype(numpy.int64),
        "tokens": host(tokens),
        "byScore": by_score,
        "rest": rest,
    }


def margins(stages):
    """From float64. cut: for each image weakest kept minus strongest left-out score, null without a cut; assignment: how far
    the nearest target stands above the second, the smallest of all sources, null with a single target."""
    scores, kept = stages["scores"], stages["keptTokenIndices"]
    patch_count = scores.shape[1]
    cuts = []
    for row, indices in zip(scores, kept):
        inside = numpy.zeros(patch_count, dtype=bool)
        inside[indices[1:] - 1] = True
        cuts.append(float(row[inside].min() - row[~inside].max()) if inside.any() and not inside.all() else None)
    gaps = assignment_margins(stages["similarity"])
    return {"cut": cuts, "assignment": None if gaps is None or gaps.size == 0 else float(gaps.min())}


def assignment_margins(similarity):
    if similarity.shape[2] < 2:
        return None
    ordered = numpy.sort(similarity, axis=2)
    return ordered[:, :, -1] - ordered[:, :, -2]
