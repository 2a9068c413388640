"""All answers of a small token world, as a text policy's transformer reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elodrome.agents.text.language import Tokens
from elodrome.agents.text.transformer import Transformer, answer_logits, log_prob_of, spoken_mask
from elodrome.envs.game import Game, Reals
from elodrome.envs.tokens.exact import Answers, enumerate_answers, kl


@dataclass(frozen=True)
class Everything:
    """X prompts and M answers: prompts int64 [X M, P], answers int64 [X M, L], ``end`` from the end on, and how the
    world marks them, ``exact.reward`` [X, M]."""

    exact: Answers
    prompts: Tensor
    answers: Tensor
    end: int

    @classmethod
    def of(cls, world: Game) -> Everything:
        """Raises UserError where there are too many."""
        exact, language = enumerate_answers(world), Tokens(world)
        end, longest = language.end, language.answer_length
        prompts = torch.tensor([[language.begin, *prompt] for prompt in exact.tokens.prompt_tokens])
        answers = torch.tensor([[*answer, *[end] * (longest - len(answer))] for answer in exact.complete])
        return cls(exact, prompts.repeat_interleave(len(answers), dim=0), answers.repeat(len(prompts), 1), end)

    def table(self, values: Any) -> Reals:
        """Values of all rows [X M] as float64 [X, M]."""
        found: Reals = np.asarray(values, np.float64).reshape(self.exact.reward.shape)
        return found

    @torch.no_grad()
    def log_prob(self, network: Transformer) -> Reals:
        """log pi(y | x) [X, M]."""
        tokens = log_prob_of(answer_logits(network, self.prompts, self.answers), self.answers)
        return self.table((tokens.double() * spoken_mask(self.answers, self.end)).sum(dim=1))

    def kl(self, log_prob: Reals, reference: Reals) -> float:
        """KL(pi || ref), mean of the prompts."""
        return float(kl(log_prob, reference).mean())
