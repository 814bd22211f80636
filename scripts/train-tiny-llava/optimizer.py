"""Muon for the matrices inside the layers, AdamW for everything else.

Muon (Jordan et al. 2024) takes the nearest orthogonal matrix of the momentum as its step, found by five Newton-Schulz
iterations. Towers and decoders of this size learn to look things up in about half the steps that AdamW alone needs.
"""

import math

import torch


def orthogonal(matrices):
    """[n, rows, columns] -> the same with singular values near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, matrices, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for matrix in group["params"]:
                by_shape.setdefault(matrix.shape, []).append(matrix)
            for (rows, columns), matrices in by_shape.items():
                steps = []
                for matrix in matrices:
                    momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                    momentum.lerp_(matrix.grad, 1 - group["momentum"])
                    steps.append(matrix.grad.lerp(momentum, group["momentum"]))
                scale = group["lr"] * math.sqrt(max(1, rows / columns))
                for matrix, step in zip(matrices, orthogonal(torch.stack(steps)), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-scale)


class Optimizer:
    """Both, on one schedule: up over a twentieth of the steps, then down along a cosine."""

    def __init__(self, modules, stage):
        named = [pair for module in modules for pair in module.named_parameters() if pair[1].requires_grad]
        inside = [p for name, p in named if p.ndim == 2 and name.startswith("layers.")]
        chosen = {id(p) for p in inside}
        others = [p for _, p in named if id(p) not in chosen]
        self.all, self.steps = [p for _, p in named], stage.steps
        self.parts = [torch.optim.AdamW(others, lr=stage.other_rate, betas=(0.9, 0.98), weight_decay=0.01)]
        if inside:
            self.parts.append(Muon(inside, stage.matrix_rate))
        self.peaks = [part.param_groups[0]["lr"] for part in self.parts]

    def step(self, loss, number):
        warm = max(1, self.steps // 20)
        rate = min((number + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * max(0, number - warm) / (self.steps - warm)))
        for part, peak in zip(self.parts, self.peaks, strict=True):
            part.param_groups[0]["lr"] = peak * rate
            part.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.all, 1.0)
        for part in self.parts:
            part.step()

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
