"""What a group of goldens is on disk: manifest.json and one safetensors file. SPEC G-1, golden/README.md."""

import hashlib
import json
import math
import re

import numpy
from safetensors.numpy import save_file

KAPPA = 8
FLOOR = 2.0**-20


def tensor_hash(array):
    """SHA-256 over `dtype|shape|bytes`, such as `F32|2,3|` and 24 bytes."""
    dtype = {"float32": "F32", "int32": "I32"}[str(array.dtype)]
    head = f"{dtype}|{','.join(map(str, array.shape))}|"
    return hashlib.sha256(head.encode() + numpy.ascontiguousarray(array).tobytes()).hexdigest()


def stored(x):
    """Reals as float32, rounded once; integers as int32."""
    array = numpy.asarray(x)
    dtype = numpy.float32 if array.dtype.kind == "f" else numpy.int32
    result = numpy.ascontiguousarray(array.astype(dtype))
    assert numpy.isfinite(result).all()
    return result


def stage_key(stage):
    """layers.3.keys@54+10 -> layers.*.keys: the stages that share a tolerance."""
    return re.sub(r"\.\d+\.", ".*.", stage.split("@")[0])


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def model_text(model):
    """A model: its configuration, and one line for each tensor."""
    tensors = ",\n".join(f"    {json.dumps(name)}: {compact(tensor)}" for name, tensor in model["tensors"].items())
    return f'{{\n   "config": {compact(model["config"])},\n   "tensors": {{\n{tensors}\n   }}\n  }}'


class Group:
    """Collects cases. `kinds` says of each stage how it is compared, and relative to what its tolerance is."""

    def __init__(self, name, description, clauses, kinds):
        self.name = name
        self.description = description
        self.clauses = clauses
        self.kinds = kinds
        self.tensors = {}
        self.cases = []
        self.weights = {}
        self.legitimate = {}

    def add(self, case_id, inputs, expected, single, **fields):
        """One case. `inputs`: arrays, or formula records. `expected`: stage -> array, in the order of the pipeline, from
        the float64 run. `single`: the same stages from the float32 run, without those whose decisions differ."""
        hashes = {}
        for role, arrays in (("inputs", inputs), ("expected", expected)):
            hashes[role] = {}
            for name, x in arrays.items():
                if isinstance(x, dict):
                    hashes[role][name] = x
                    continue
                key = f"{case_id}/{name}"
                assert key not in self.tensors, key
                self.tensors[key] = stored(x)
                hashes[role][name] = tensor_hash(self.tensors[key])
        for stage, x in single.items():
            self.measure(stage, numpy.asarray(x, dtype=numpy.float64), numpy.asarray(expected[stage]))
        self.cases.append({"id": case_id, **fields, **hashes})

    def measure(self, stage, got, exact):
        key = stage_key(stage)
        kind, relative_to = self.kinds[key]
        assert kind == "real"
        if exact.size == 0:
            return
        error = numpy.abs(got - exact)
        scale = {"rms": math.sqrt(float((exact**2).mean())), "element": numpy.abs(exact), "one": 1.0}[relative_to]
        ratio = float(numpy.max(numpy.where(error == 0, 0, error / numpy.where(scale == 0, 1, scale))))
        self.legitimate[key] = max(self.legitimate.get(key, 0.0), ratio)

    def stages(self):
        result = {}
        used = {stage_key(stage) for case in self.cases for stage in case["expected"]}
        for key, (kind, relative_to) in self.kinds.items():
            if key not in used:
                continue
            result[key] = {"kind": kind}
            if kind == "real":
                largest = self.legitimate[key]
                tolerance = {"relativeTo": relative_to, "value": max(KAPPA * largest, FLOOR), "legitMax": largest}
                result[key]["tolerance"] = tolerance
        return result

    def write(self, folder, provenance):
        folder.mkdir(parents=True, exist_ok=True)
        file = f"{self.name}.safetensors"
        save_file(self.tensors, folder / file)
        (folder / file).chmod(0o644)
        head = {
            "format": "golden-v1",
            "group": self.name,
            "description": self.description,
            "clauses": self.clauses,
            "file": file,
            "provenance": provenance,
            "toleranceRule": "value = max(8 * legitMax, 2^-20); legitMax: the float32 run against the float64 run",
            "stages": self.stages(),
            "caseCount": len(self.cases),
        }
        text = json.dumps(head, indent=1)[:-2]
        models = ",".join(f"\n  {json.dumps(name)}: {model_text(model)}" for name, model in self.weights.items())
        lines = ",\n".join("  " + compact(case) for case in self.cases)
        (folder / "manifest.json").write_text(f'{text},\n "weights": {{{models}\n }},\n "cases": [\n{lines}\n ]\n}}\n')
        return hashlib.sha256("".join(tensor_hash(self.tensors[key]) for key in sorted(self.tensors)).encode()).hexdigest()
