"""A teacher's head: learns the teacher's embeddings, which the teacher's frozen classifier maps to logits.

A label says which species; an embedding says what the sound is like. The network learns to give the teacher's
embedding, and the teacher's own classifier, left as it is, turns that into logits: so what the teacher knows of a
species beyond the few recordings at hand comes along (Chen et al., Knowledge Distillation with the Reused Teacher
Classifier, CVPR 2022). Both maps are linear, so a checkpoint holds their product: a plain head.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from birdwatch.checkpoint.network import head_name

from .teacher import Teacher

__all__ = ["TeacherHead", "embedding_loss", "plain_state", "put_teacher_head"]


class TeacherHead(nn.Module):
    """A head that gives the teacher's embedding, and logits by the teacher's classifier.

    In training it returns logits `(B, classes)` and the embedding `(B, size)` in units of the teacher's spread about
    its mean; in evaluation only the logits. Of features `(B, T, features)` it gives both for each frame. A gain and an
    offset a class adapt the teacher's logits to the labels (whose odds the recordist's word has raised); classes that
    the teacher does not know get a row of their own.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    rows: torch.Tensor

    def __init__(self, features: int, teacher: Teacher, *, prior: float) -> None:
        super().__init__()
        self.project = nn.Linear(features, teacher.size)
        nn.init.normal_(self.project.weight, std=0.01)
        nn.init.zeros_(self.project.bias)
        # Of the embedding in units of its spread, so that the teacher's classifier holds mean and spread, too.
        self.register_buffer("weight", torch.from_numpy(teacher.weight * teacher.spread))
        self.register_buffer("bias", torch.from_numpy(teacher.bias + teacher.weight @ teacher.mean))
        self.gain = nn.Parameter(torch.ones(len(teacher.known)))
        self.offset = nn.Parameter(torch.zeros(len(teacher.known)))
        self.register_buffer("rows", torch.from_numpy(np.flatnonzero(~teacher.known)))
        self.unknown = nn.Linear(features, len(self.rows)) if len(self.rows) else None
        if prior > 0 and self.unknown is not None:
            nn.init.constant_(self.unknown.bias, math.log(prior / (1.0 - prior)))

    def forward(self, features: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Features `(..., features)` to logits, with the embedding in training."""
        embedding = self.project(features)
        logits = F.linear(embedding, self.weight, self.bias) * self.gain + self.offset
        if self.unknown is not None:
            logits = logits.index_add(-1, self.rows, self.unknown(features))
        return (logits, embedding) if self.training else logits

    @torch.no_grad()
    def product(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The one linear head that gives the same logits: weight `(classes, features)` and bias `(classes,)`."""
        gained = (self.weight * self.gain[:, None]).double()
        weight = gained @ self.project.weight.double()
        bias = gained @ self.project.bias.double() + (self.bias * self.gain + self.offset).double()
        if self.unknown is not None:
            weight.index_add_(0, self.rows, self.unknown.weight.double())
            bias.index_add_(0, self.rows, self.unknown.bias.double())
        return weight.float(), bias.float()


def put_teacher_head(network: nn.Module, teacher: Teacher, *, prior: float) -> None:
    """Replace a network's new head by a TeacherHead. prior: the score that unknown classes start from; 0: any."""
    name = head_name(network)
    parent, _, leaf = name.rpartition(".")
    head = network.get_submodule(name)
    assert isinstance(head, nn.Linear)
    setattr(network.get_submodule(parent), leaf, TeacherHead(head.in_features, teacher, prior=prior))


def plain_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """The network's state with timm's own keys: a TeacherHead as the one linear head that it amounts to."""
    state: dict[str, torch.Tensor] = dict(network.state_dict())
    for name, head in network.named_modules():
        if isinstance(head, TeacherHead):
            state = {key: value for key, value in state.items() if not key.startswith(f"{name}.")}
            state[f"{name}.weight"], state[f"{name}.bias"] = head.product()
    return state


def embedding_loss(embedding: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean smooth L1 distance of embeddings `(B, size)`, both in units of the spread, each weighed by `weight` `(B,)`.

    Divided by the batch, not by the weights' sum: a batch of little that is known moves little.
    """
    return (F.smooth_l1_loss(embedding, target, reduction="none").mean(dim=1) * weight).mean()
