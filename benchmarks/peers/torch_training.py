"""An epoch of training in PyTorch, written as its tutorials do, eager or compiled."""

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def eager(task, data, batch_size):
    """Plain PyTorch."""
    return _training(task, data, batch_size, lambda function: function)


def compiled(task, data, batch_size):
    """The losses through `torch.compile`."""
    return _training(task, data, batch_size, torch.compile)


def _training(task, data, batch_size, compile_):
    x = torch.from_numpy(np.load(data))
    phases = [(compile_(loss), optimizer) for loss, optimizer in _PHASES[task]()]

    def epoch():
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch_size):
            batch = x[order[start : start + batch_size]]
            for loss, optimizer in phases:
                optimizer.zero_grad()
                loss(batch).backward()
                optimizer.step()

    return epoch


def mlp(*units):
    """Dense layers with ReLU between them."""
    layers = []
    for before, after in itertools.pairwise(units):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _vae():
    hidden, mean, log_variance = nn.Linear(784, 256), nn.Linear(256, 2), nn.Linear(256, 2)
    decoder = mlp(2, 256, 784)

    def loss(x):
        features = torch.relu(hidden(x))
        mu, log_var = mean(features), log_variance(features)
        logits = decoder(mu + torch.exp(0.5 * log_var) * torch.randn_like(mu))
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp())
        return (cross_entropy + kl) / len(x)

    parts = nn.ModuleList([hidden, mean, log_variance, decoder])
    return [(loss, torch.optim.RMSprop(parts.parameters(), lr=1e-3, alpha=0.9))]


def _plain(encoder, decoder):
    parameters = [*encoder.parameters(), *decoder.parameters()]

    def loss(x):
        return functional.mse_loss(decoder(encoder(x)), x)

    return [(loss, torch.optim.Adam(parameters, lr=1e-3))]


def _deep():
    return _plain(mlp(784, 1000, 500, 250, 30), mlp(30, 250, 500, 1000, 784))


def _adversarial():
    encoder, decoder = mlp(784, 1000, 1000, 8), mlp(8, 1000, 1000, 784)
    discriminator = mlp(8, 1000, 1000, 1)
    cross_entropy = functional.binary_cross_entropy_with_logits

    def discriminate(x):
        with torch.no_grad():
            codes = encoder(x)
        real, fake = discriminator(torch.randn_like(codes)), discriminator(codes)
        ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
        return 0.5 * (cross_entropy(real, ones) + cross_entropy(fake, zeros))

    def generate(x):
        fake = discriminator(encoder(x))
        return cross_entropy(fake, torch.ones_like(fake))

    def adam(*parts):
        return torch.optim.Adam([p for part in parts for p in part.parameters()], lr=1e-3)

    ((reconstruct, _),) = _plain(encoder, decoder)
    return [
        (reconstruct, adam(encoder, decoder)),
        (discriminate, adam(discriminator)),
        (generate, adam(encoder)),
    ]


class _ChannelsFirst(nn.Module):
    def forward(self, x):
        return x.permute(0, 3, 1, 2)


class _ChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def _convolutional():
    encoder = nn.Sequential(
        _ChannelsFirst(),
        nn.Conv2d(1, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 16),
    )
    decoder = nn.Sequential(
        nn.Linear(16, 7 * 7 * 64),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, padding=1),
        _ChannelsLast(),
    )
    return _plain(encoder, decoder)


class _LastState(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 64, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[1][0][0]


class _Unroll(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(64, 64, batch_first=True)
        self.output = nn.Linear(64, 28)

    def forward(self, code):
        return self.output(self.lstm(code[:, None].expand(-1, 28, -1))[0])


def _lstm():
    return _plain(_LastState(), _Unroll())


_PHASES = {
    "dense_small": _vae,
    "dense_large": _deep,
    "adversarial": _adversarial,
    "convolutional": _convolutional,
    "lstm": _lstm,
}
