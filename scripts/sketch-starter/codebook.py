"""Codebook updates during training: initialization by k-means, then running averages of the rows assigned to each code (van den Oord et al. 2017,
appendix A), and replacement of unused codes, without which a codebook collapses to a few codes."""
import torch


def far_rows(rows, distances, count, g):
    """Samples `count` rows with probabilities proportional to their squared distance from the nearest code (k-means++)."""
    weights = distances.clamp(min=0) + 1e-8
    return rows[torch.multinomial(weights, count, replacement=True, generator=g)]


def k_means(codebook, rows, g, rounds=12):
    """Initializes all codes from the rows [N, D]."""
    e = codebook.embedding.weight.data
    e.copy_(rows.mean(0))
    for n in range(0, len(e), 64):  # 64 at a time approximate one at a time
        e[n : n + 64] = far_rows(rows, codebook.nearest(rows)[1], len(e[n : n + 64]), g)
    for _ in range(rounds):
        index, distance = codebook.nearest(rows)
        size = torch.bincount(index, minlength=len(e)).float()
        mean = torch.zeros_like(e).index_add_(0, index, rows) / size.clamp(min=1)[:, None]
        e.copy_(torch.where(size[:, None] > 0, mean, far_rows(rows, distance, len(e), g)))


class Averages:
    """Running counts and sums of the rows assigned to each code."""

    def __init__(self, codebook, decay=0.99):
        e = codebook.embedding.weight.data
        self.codebook, self.decay, self.size, self.sum = codebook, decay, torch.ones(len(e)), e.clone()

    def update(self, rows, index, distance, g):
        e = self.codebook.embedding.weight.data
        count = torch.bincount(index, minlength=len(e)).float()
        self.size.lerp_(count, 1 - self.decay)
        self.sum.lerp_(torch.zeros_like(e).index_add_(0, index, rows), 1 - self.decay)
        dead = self.size < 0.02 * len(rows) / len(e)
        if dead.any():
            fresh = far_rows(rows, distance, int(dead.sum()), g)
            self.size[dead] = len(rows) / len(e)
            self.sum[dead] = fresh * self.size[dead][:, None]
        e.copy_(self.sum / self.size[:, None])

    def state(self):
        return {'size': self.size, 'sum': self.sum}

    def load(self, state):
        self.size, self.sum = state['size'], state['sum']
