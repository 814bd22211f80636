"""The decoder: a Llama (transformers' names), read as LLaVA reads it.

    B scenes   V visual tokens   T tokens of a prompt and its questions   C channels
"""

import torch
from recipe import DECODER, VOCABULARY
from torch import nn
from torch.nn import functional as F


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads = shape.heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(shape.width, shape.width, bias=False) for _ in range(4)
        )

    def forward(self, x, turns, mask):
        B, T, C = x.shape
        q, k, v = (
            project(x).view(B, T, self.heads, C // self.heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # [B, H, T, D]
        mixed = F.scaled_dot_product_attention(rotate(q, turns), rotate(k, turns), v, attn_mask=mask)
        return self.o_proj(mixed.transpose(1, 2).reshape(B, T, C))


class Mlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.mlp, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.mlp, bias=False)
        self.down_proj = nn.Linear(shape.mlp, shape.width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = RmsNorm(shape.width, shape.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(shape.width, shape.rms_norm_eps)
        self.self_attn, self.mlp = Attention(shape), Mlp(shape)

    def forward(self, x, turns, mask):
        x = x + self.self_attn(self.input_layernorm(x), turns, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, shape=DECODER):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, shape.width)
        nn.init.normal_(self.embed_tokens.weight, std=0.3)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        for layer in self.layers:  # a layer begins as nothing but a way through
            nn.init.zeros_(layer.self_attn.o_proj.weight)
            nn.init.zeros_(layer.mlp.down_proj.weight)
        self.norm = RmsNorm(shape.width, shape.rms_norm_eps)
        self.lm_head = nn.Linear(shape.width, VOCABULARY, bias=False)
        nn.init.normal_(self.lm_head.weight, std=0.02)
        half = shape.width // shape.heads // 2
        self.rates = shape.rope_theta ** (-torch.arange(half) / half)

    def forward(self, embeds, positions, mask):
        """embeds [B, T, C], positions [B, T], mask [B, 1, T, T] of who sees whom -> the hidden states behind each layer [B, T, C]."""
        angles = positions[:, None, :, None] * self.rates  # [B, 1, T, D/2]
        turns = (angles.cos(), angles.sin())
        states = []
        for layer in self.layers:
            embeds = layer(embeds, turns, mask)
            states.append(embeds)
        return states

    def logits(self, states):
        return self.lm_head(self.norm(states))


def rotate(x, turns):
    """RoPE in halves."""
    cos, sin = turns
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
