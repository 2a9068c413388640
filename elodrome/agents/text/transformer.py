"""A small decoder-only transformer (Vaswani et al. 2017; pre-norm) with a key-value cache, and generation with it.

Letters: B rows, P tokens of a prompt, T tokens, L tokens of an answer, W width, H heads, D = W / H, V tokens that can
be spoken. A model reads more tokens than it speaks: the ids from V on (padding, begin) are read only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from elodrome.seeding import derive


@dataclass
class Cache:
    """Keys and values [layers, B, H, context, D] of what was read so far; ``length`` tokens of them are valid."""

    keys: Tensor
    values: Tensor
    length: int = 0

    def repeat(self, times: int) -> Cache:
        """Every row ``times`` over, side by side: one prompt read, a group of answers spoken."""
        return Cache(
            self.keys.repeat_interleave(times, dim=1), self.values.repeat_interleave(times, dim=1), self.length
        )


class Block(nn.Module):
    """Attention and a two-layer network, each with its norm before it and the input added behind it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.mixed = nn.Linear(width, width)
        self.before_network = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, last: int, cache: Cache | None, layer: int) -> Tensor:
        """x [B, T, W] -> [B, last, W]: only the last tokens ask; all are asked."""
        rows, length, width = x.shape
        normed = self.before_attention(x)
        q = self.query(normed[:, -last:]).view(rows, last, self.heads, -1).transpose(1, 2)
        k, v = self.key_value(normed).view(rows, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = length
        if cache is not None:
            seen += cache.length
            cache.keys[layer, :, :, cache.length : seen] = k
            cache.values[layer, :, :, cache.length : seen] = v
            k, v = cache.keys[layer, :, :, :seen], cache.values[layer, :, :, :seen]
        if last == 1:
            attended = functional.scaled_dot_product_attention(q, k, v)
        elif last == seen:
            attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            earlier = torch.ones(last, seen, dtype=torch.bool, device=x.device).tril(seen - last)
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=earlier)
        x = x[:, -last:] + self.mixed(attended.transpose(1, 2).reshape(rows, last, width))
        return x + self.network(self.before_network(x))


class Transformer(nn.Module):
    """Token ids -> logits of the next token. inputs: ids that can be read; outputs: V; context: the longest text."""

    def __init__(self, inputs: int, outputs: int, context: int, *, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.heads, self.outputs, self.context = heads, outputs, context
        # PyTorch fills new layers from its global generator; that one is nobody's to advance.
        with torch.random.fork_rng(devices=[]):
            self.embedding = nn.Embedding(inputs, width)
            self.position = nn.Parameter(torch.zeros(context, width))
            self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, outputs)

    def start(self, seed: int) -> Transformer:
        """Fresh weights from ``seed`` alone; itself.

        Matrices keep the variance of what they multiply (1 / inputs), less where the layers add up; the head begins
        near the uniform distribution. At these widths the customary 0.02 starts several times slower.
        """
        generator = torch.Generator().manual_seed(derive(seed, "transformer"))
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() == 2:
                    scale = parameter.shape[1] ** -0.5
                    if name in ("embedding.weight", "position"):
                        scale = 0.5
                    elif name == "head.weight":
                        scale = 0.02
                    elif name.endswith(("mixed.weight", "network.2.weight")):
                        scale /= (2 * len(self.blocks)) ** 0.5
                    parameter.copy_(torch.empty_like(parameter).normal_(0.0, scale, generator=generator))
                elif name.endswith("bias"):
                    parameter.zero_()
                else:
                    parameter.fill_(1.0)
        return self

    def cache(self, rows: int) -> Cache:
        """An empty cache for ``rows`` texts."""
        shape = (len(self.blocks), rows, self.heads, self.context, self.position.shape[1] // self.heads)
        return Cache(self.position.new_zeros(shape), self.position.new_zeros(shape))

    def forward(self, tokens: Tensor, *, last: int | None = None, cache: Cache | None = None) -> Tensor:
        """Logits [B, last, V] behind the last of ``tokens`` int64 [B, T] (by default behind each).

        With a cache the tokens continue what it holds, and it grows by them.
        """
        begin = 0 if cache is None else cache.length
        length = tokens.shape[1]
        x = self.embedding(tokens) + self.position[begin : begin + length]
        final = len(self.blocks) - 1
        asked = length if last is None else last
        for layer, block in enumerate(self.blocks):
            x = block(x, asked if layer == final else length, cache, layer)
        if cache is not None:
            cache.length += length
        logits: Tensor = self.head(self.norm(x))
        return logits


def answer_logits(model: Transformer, prompts: Tensor, answers: Tensor) -> Tensor:
    """Logits [B, L, V] from which the answers int64 [B, L] to the prompts int64 [B, P] were spoken, in one pass."""
    logits: Tensor = model(torch.cat([prompts, answers[:, :-1]], dim=1), last=answers.shape[1])
    return logits


def log_prob_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """log pi of tokens int64 [B, L] under logits [B, L, V]: [B, L]."""
    return torch.log_softmax(logits, dim=-1).gather(2, tokens[..., None]).squeeze(2)


def spoken_mask(answers: Tensor, end: int) -> Tensor:
    """1.0 for every token of answers [B, L] up to and with the first ``end``, 0.0 behind it."""
    ended = (answers == end).int()
    return (ended.cumsum(dim=1) - ended == 0).float()


@dataclass(frozen=True)
class Spoken:
    """Answers int64 [B, L], ``end`` from the end on; log_prob [B, L] of the tokens as they were drawn (at
    temperature 0: under the model), 0 behind the end; mask [B, L], 1.0 where a token was spoken."""

    answers: Tensor
    log_prob: Tensor
    mask: Tensor


@torch.no_grad()
def generate(
    model: Transformer, prompts: Tensor, uniforms: Tensor, *, end: int, temperature: float = 1.0, group: int = 1
) -> Spoken:
    """Speak ``group`` answers to each of the prompts int64 [N, P], token by token with a key-value cache.

    uniforms [N * group, L] in [0, 1) choose the tokens by the inverse distribution function, so that an answer depends
    on its own numbers alone; temperature 0 takes the likeliest token.
    """
    rows, longest = uniforms.shape
    cache = model.cache(len(prompts))
    logits = model(prompts, last=1, cache=cache)[:, 0]
    if group > 1:
        cache, logits = cache.repeat(group), logits.repeat_interleave(group, dim=0)
    answers = torch.full((rows, longest), end, dtype=torch.int64, device=prompts.device)
    log_prob = uniforms.new_zeros(rows, longest)
    going = torch.ones(rows, dtype=torch.bool, device=prompts.device)
    for t in range(longest):
        logits = logits.to(uniforms.dtype)  # chosen and told in no less, whatever it was thought in
        choice = choose(logits, uniforms[:, t], temperature)
        answers[:, t] = torch.where(going, choice, end)
        spoken = torch.log_softmax(logits / (temperature or 1.0), dim=1).gather(1, choice[:, None]).squeeze(1)
        log_prob[:, t] = torch.where(going, spoken.to(log_prob.dtype), 0.0)
        going = going & (choice != end)
        if t + 1 == longest or not going.any():
            break
        logits = model(answers[:, t : t + 1], last=1, cache=cache)[:, 0]
    return Spoken(answers, log_prob, spoken_mask(answers, end))


def choose(logits: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
    """One token per row of logits [B, V]: at quantile ``uniforms`` [B], or the likeliest at temperature 0."""
    if temperature == 0:
        return logits.argmax(dim=1)
    below = torch.softmax(logits / temperature, dim=1).cumsum(dim=1)
    return (below <= uniforms[:, None] * below[:, -1:]).sum(dim=1).clamp(max=logits.shape[1] - 1)
