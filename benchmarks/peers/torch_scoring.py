"""Reconstruction errors in PyTorch."""

import numpy as np
import torch

from benchmarks.peers.torch_training import mlp


def eager(data):
    """Plain PyTorch, error and all, in large batches."""
    x = torch.from_numpy(np.load(data))
    model = torch.nn.Sequential(mlp(784, 256, 32), mlp(32, 256, 784))

    def run():
        with torch.inference_mode():
            return torch.cat([((model(b) - b) ** 2).mean(axis=1) for b in x.split(4096)]).numpy()

    return run
