"""The transformer against itself without a cache, and against attention written out as loops."""

import math

import pytest
import torch

from elodrome.agents.text.transformer import (
    Transformer,
    answer_logits,
    choose,
    generate,
    log_prob_of,
    spoken_mask,
)

END = 4
torch.set_num_threads(1)


@pytest.fixture
def model() -> Transformer:
    return Transformer(7, 5, 12, width=16, layers=2, heads=2).start(3)


def prompts(rows: int = 6, length: int = 5) -> torch.Tensor:
    return torch.randint(0, 7, (rows, length), generator=torch.Generator().manual_seed(1))


def uniforms(rows: int, length: int = 6) -> torch.Tensor:
    return torch.rand(rows, length, generator=torch.Generator().manual_seed(2))


def by_loops(model: Transformer, tokens: list[int]) -> torch.Tensor:
    """Logits behind the last token, one position and one head at a time, from the definition of attention."""
    x = [model.embedding.weight[token] + model.position[i] for i, token in enumerate(tokens)]
    for block in model.blocks:
        normed = [block.before_attention(v) for v in x]
        mixed = []
        for i in range(len(x)):
            heads = []
            size = len(x[0]) // block.heads
            for h in range(block.heads):
                cut = slice(h * size, (h + 1) * size)
                query = block.query(normed[i])[cut]
                both = [block.key_value(v) for v in normed[: i + 1]]
                scores = torch.stack([query @ kv[: len(x[0])][cut] / math.sqrt(size) for kv in both])
                share = torch.softmax(scores, 0)
                heads.append(sum(s * kv[len(x[0]) :][cut] for s, kv in zip(share, both, strict=True)))
            mixed.append(x[i] + block.mixed(torch.cat(heads)))
        x = [v + block.network(block.before_network(v)) for v in mixed]
    return model.head(model.norm(x[-1]))


def test_forward_is_attention_by_its_definition(model: Transformer) -> None:
    tokens = prompts(3, 7)
    want = torch.stack([by_loops(model, row.tolist()) for row in tokens])
    torch.testing.assert_close(model(tokens)[:, -1], want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pieces", [(1,) * 9, (4, 1, 1, 3), (5, 4)])
def test_reading_with_a_cache_is_reading_at_once(model: Transformer, pieces: tuple[int, ...]) -> None:
    tokens = prompts(4, 9)
    cache = model.cache(4)
    parts = [model(part, cache=cache) for part in tokens.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens), atol=1e-5, rtol=1e-5)


def test_the_last_logits_alone_are_the_same(model: Transformer) -> None:
    tokens = prompts(4, 9)
    torch.testing.assert_close(model(tokens, last=3), model(tokens)[:, -3:], atol=1e-5, rtol=1e-5)


def test_later_tokens_change_nothing_before_them(model: Transformer) -> None:
    tokens = prompts(2, 8)
    other = tokens.clone()
    other[:, 5] = (other[:, 5] + 1) % 7
    before, after = model(tokens), model(other)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().max() > 1e-4


@pytest.mark.parametrize("group", [1, 3])
def test_log_probs_of_what_was_said_can_be_computed_again(model: Transformer, group: int) -> None:
    asked = prompts()
    said = generate(model, asked, uniforms(6 * group), end=END, group=group)
    again = log_prob_of(answer_logits(model, asked.repeat_interleave(group, 0), said.answers), said.answers)
    torch.testing.assert_close(said.log_prob, (again * said.mask).detach(), atol=1e-5, rtol=1e-5)
    assert said.answers.max() < 5


def test_nothing_is_said_behind_the_end(model: Transformer) -> None:
    said = generate(model, prompts(200), uniforms(200), end=END)
    lengths = said.mask.sum(1).int()
    assert len(lengths.unique()) > 3
    for answer, length in zip(said.answers.tolist(), lengths.tolist(), strict=True):
        assert END not in answer[: length - 1]
        assert set(answer[length:]) <= {END}
        assert length == 6 or answer[length - 1] == END
    assert torch.equal(spoken_mask(said.answers, END), said.mask)


def test_answers_do_not_depend_on_the_rows_beside_them(model: Transformer) -> None:
    model.double()
    asked, numbers = prompts(), uniforms(6).double()
    whole = generate(model, asked, numbers, end=END).answers
    for i in range(6):
        assert torch.equal(generate(model, asked[i : i + 1], numbers[i : i + 1], end=END).answers[0], whole[i])


def test_choice_follows_the_distribution() -> None:
    logits = torch.tensor([0.1, 0.6, 0.3]).log().expand(1000, 3)
    evenly = (torch.arange(1000) + 0.5) / 1000
    assert torch.bincount(choose(logits, evenly, 1.0)).tolist() == [100, 600, 300]
    assert set(choose(logits, evenly, 0.0).tolist()) == {1}
    squared = torch.tensor([0.01, 0.36, 0.09]) / 0.46
    share = torch.bincount(choose(logits, evenly, 0.5)) / 1000
    torch.testing.assert_close(share, squared, atol=1e-3, rtol=0)


def test_weights_come_from_the_seed_alone(model: Transformer) -> None:
    before = torch.random.get_rng_state()
    twin = Transformer(7, 5, 12, width=16, layers=2, heads=2).start(3)
    other = Transformer(7, 5, 12, width=16, layers=2, heads=2).start(4)
    assert torch.equal(before, torch.random.get_rng_state())
    for name, weight in model.named_parameters():
        assert torch.equal(weight, dict(twin.named_parameters())[name])
    assert not torch.equal(model.embedding.weight, other.embedding.weight)
