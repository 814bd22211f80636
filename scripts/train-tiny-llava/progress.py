"""What a stage keeps: a checkpoint to go on from, a log of losses and accuracies, a line with the time left."""

import json
import time

import torch


class Progress:
    def __init__(self, folder, name, stage, modules, optimizer, every=50):
        self.name, self.stage, self.modules, self.optimizer, self.every = name, stage, modules, optimizer, every
        self.checkpoint, self.log = folder / f"{name}.pt", folder / f"{name}.jsonl"
        self.first, self.sums, self.since = 0, {}, 0
        self.seconds = 0.0
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=True)
            for module, state in zip(modules, saved["modules"], strict=True):
                module.load_state_dict(state)
            self.first, self.seconds = saved["step"], saved["seconds"]
            if self.first < stage.steps:
                optimizer.load_state_dict(saved["optimizer"])
            print(f"{name}: goes on from step {self.first}", flush=True)
        self.forget_later_lines()
        self.began = time.monotonic() - self.seconds

    def forget_later_lines(self):
        """Steps behind the checkpoint are done again."""
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        self.log.write_text("".join(line for line in lines if json.loads(line)["step"] <= self.first))

    def note(self, step, **values):
        """Adds up the values of a step; every so often prints and writes their means, and saves."""
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + float(value)
        self.since += 1
        done = step + 1
        if done % self.every == 0 or done == self.stage.steps:
            self.seconds = time.monotonic() - self.began
            means = {key: round(value / self.since, 4) for key, value in self.sums.items()}
            left = self.seconds / done * (self.stage.steps - done)
            shown = "  ".join(f"{key} {value:.3f}" for key, value in means.items())
            print(f"{self.name} {done}/{self.stage.steps}  {shown}  {left / 60:.0f} min left", flush=True)
            with self.log.open("a") as log:
                log.write(json.dumps({"step": done, "seconds": round(self.seconds), **means}) + "\n")
            self.sums, self.since = {}, 0
        if done % 100 == 0 or done == self.stage.steps:
            self.save(done)

    def save(self, step):
        saved = {
            "step": step,
            "seconds": self.seconds,
            "modules": [module.state_dict() for module in self.modules],
            "optimizer": self.optimizer.state_dict(),
        }
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(saved, fresh)
        fresh.rename(self.checkpoint)
