"""What a group of goldens is on disk: manifest.json and one safetensors file. SPEC G-1, golden/README.md."""

import hashlib
import json
import math
import re

import numpy
from safetensors.numpy import save_file

# SPEC G-1.5. By precision: what the largest legitimate error is multiplied with, the least tolerance, and what an element may be off
# besides, however small it is: sixteen float16 below the normal ones, each rounded.
KAPPA = {"f32": 4, "f16": 3}
FLOOR = {"f32": 2.0**-20, "f16": 2.0**-10}
LEAST = {"f32": 0.0, "f16": 2.0**-20}


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
    """Collects cases. `kinds` says of each stage how it is compared, and relative to what its tolerance is; `evaluations` are
    those of ensemble.py that the tolerances come from, and those that have to lie within; `float32_inside` is what computes in
    float32 even where it is given float64, and so differs between processors by more than float64 does."""

    def __init__(self, name, description, clauses, kinds, evaluations, float32_inside=()):
        self.name = name
        self.description = description
        self.clauses = clauses
        self.kinds = kinds
        self.tensors = {}
        self.cases = []
        self.weights = {}
        self.evaluations = evaluations
        self.float32_inside = float32_inside
        self.errors = {one: {} for one in evaluations}

    def add(self, case_id, inputs, expected, legitimate, **fields):
        """One case. `inputs`: arrays, or formula records. `expected`: stage -> array, in the order of the pipeline, from
        the float64 run. `legitimate`: of each evaluation the same stages, without those whose decisions differ."""
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
        for evaluation, stages in legitimate.items():
            for stage, x in stages.items():
                self.measure(evaluation, stage, numpy.asarray(x, dtype=numpy.float64), numpy.asarray(expected[stage]))
        self.cases.append({"id": case_id, **fields, **hashes})

    def measure(self, evaluation, stage, got, exact):
        key = stage_key(stage)
        kind, relative_to = self.kinds[key]
        assert kind == "real"
        if exact.size == 0:
            return
        error = numpy.abs(got - exact)
        if relative_to == "element":
            error = numpy.maximum(error - LEAST[evaluation.precision], 0)
        scale = {"rms": math.sqrt(float((exact**2).mean())), "element": numpy.abs(exact), "one": 1.0}[relative_to]
        ratio = float(numpy.max(numpy.where(error == 0, 0, error / numpy.where(scale == 0, 1, scale))))
        assert math.isfinite(ratio), (evaluation.name, stage)
        errors = self.errors[evaluation]
        errors[key] = max(errors.get(key, 0.0), ratio)

    def largest(self, precision, key, is_held_out):
        """The largest error of a stage that evaluations of a precision have shown; None if none of them reached it."""
        errors = [
            found[key]
            for one, found in self.errors.items()
            if one.precision == precision and one.is_held_out == is_held_out and key in found
        ]
        return max(errors, default=None)

    def tolerance(self, precision, key):
        legitimate, held_out = (self.largest(precision, key, is_held_out) for is_held_out in (False, True))
        if legitimate is None:
            return None
        value = max(KAPPA[precision] * legitimate, FLOOR[precision])
        assert (held_out or 0) <= value, (self.name, precision, key, held_out, value)
        result = {"value": value, "legitMax": legitimate}
        if held_out is not None:
            result["heldOutMax"] = held_out
        if LEAST[precision] > 0 and self.kinds[key][1] == "element":
            result["least"] = LEAST[precision]
        return result

    def stages(self):
        result = {}
        used = {stage_key(stage) for case in self.cases for stage in case["expected"]}
        for key, (kind, relative_to) in self.kinds.items():
            if key not in used:
                continue
            result[key] = {"kind": kind}
            if kind == "real":
                tolerances = {precision: self.tolerance(precision, key) for precision in KAPPA}
                half = {"f16": tolerances["f16"]} if tolerances["f16"] is not None else {}
                result[key]["tolerance"] = {"relativeTo": relative_to, **tolerances["f32"], **half}
        return result

    def names(self):
        """Of the evaluations, by precision."""
        return {
            precision: {
                "evaluations": [one.name for one in self.evaluations if one.precision == precision and not one.is_held_out],
                "heldOut": sum(one.precision == precision and one.is_held_out for one in self.evaluations),
            }
            for precision in KAPPA
        }

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
            "toleranceRule": "value = max(4 * legitMax, 2^-20), of f16 max(3 * legitMax, 2^-10); legitMax, heldOutMax: the largest error "
            "of the ensemble, and of evaluations that it was not made from, against the float64 run",
            "ensemble": self.names(),
            **({"float32Inside": list(self.float32_inside)} if self.float32_inside else {}),
            "stages": self.stages(),
            "caseCount": len(self.cases),
        }
        text = json.dumps(head, indent=1)[:-2]
        models = ",".join(f"\n  {json.dumps(name)}: {model_text(model)}" for name, model in self.weights.items())
        lines = ",\n".join("  " + compact(case) for case in self.cases)
        (folder / "manifest.json").write_text(f'{text},\n "weights": {{{models}\n }},\n "cases": [\n{lines}\n ]\n}}\n')
        return hashlib.sha256("".join(tensor_hash(self.tensors[key]) for key in sorted(self.tensors)).encode()).hexdigest()
