"""Distillation: a student learns to speak as a teacher does (notes 5.7; Gu et al. 2024, Agarwal et al. 2024).

Shapes: B answers, L places in each, V words. logits, teacher_logits [B, L, V]: from which the student and the teacher
would speak at each place, in float32 or float64; log_prob, spoken [B, L]: of the words that were said. All gradients go
to the student.

Of two divergences between whole answers, both sums over places in expectation, one needs no more than that:

    KL(teacher || student) = E_teacher[sum_t KL(teacher(.|s_t) || student(.|s_t))]: who comes by a place is not the
        student's to say, and the gradient of the sum is the gradient wanted;
    KL(student || teacher) = E_student[sum_t KL(student(.|s_t) || teacher(.|s_t))], equation (5.32): here it is, and the
        gradient of the sum lacks what a word makes of the places behind it. ``reaching`` adds that.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reverse_kl(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(student || teacher) at each place [B, L], over all words. The student is charged for what it says and the
    teacher would not: it settles on some of what the teacher says (mode seeking)."""
    student, teacher = torch.log_softmax(logits, dim=-1), torch.log_softmax(teacher_logits, dim=-1)
    return (student.exp() * (student - teacher)).sum(dim=-1)


def forward_kl(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(teacher || student) at each place [B, L], over all words. The student is charged for what the teacher says and
    it would not: it spreads over all of that (mode covering)."""
    return reverse_kl(teacher_logits, logits)


def reaching(divergence: Tensor, log_prob: Tensor, spoken: Tensor) -> Tensor:
    """A divergence [B, L] on answers of the student's own, with the gradient of its expected sum: to that at each place
    comes the score of the word said there, ``grad log pi(y_t)``, times all that follows. Values stay as they are.

    With ``reverse_kl`` the mean over answers of the sums has the gradient of (5.32) exactly, in expectation.
    """
    with torch.no_grad():
        charged = divergence * spoken
        behind = charged.sum(dim=1, keepdim=True) - charged.cumsum(dim=1)
    return divergence + behind * (log_prob - log_prob.detach())
