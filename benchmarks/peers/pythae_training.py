"""An epoch of pythae's trainer."""

import logging

import numpy as np
import torch
from pythae import models, trainers
from pythae.data.datasets import BaseDataset
from pythae.models.base import base_utils
from pythae.models.nn import BaseDecoder, BaseEncoder

from benchmarks.peers.torch_training import mlp


class _Encoder(BaseEncoder):
    def __init__(self, features, *heads):
        super().__init__()
        self.features = features
        self.heads = torch.nn.ModuleDict(
            dict(zip(("embedding", "log_covariance"), heads, strict=False))
        )

    def forward(self, x):
        features = self.features(x)
        return base_utils.ModelOutput(**{name: h(features) for name, h in self.heads.items()})


class _Decoder(BaseDecoder):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, z):
        return base_utils.ModelOutput(reconstruction=self.layers(z))


def trainer(task, data, batch_size):
    """`BaseTrainer`, one epoch at a time."""
    logging.disable(logging.CRITICAL)
    linear = torch.nn.Linear
    if task == "dense_small":
        config = models.VAEConfig(input_dim=(784,), latent_dim=2, reconstruction_loss="bce")
        hidden = torch.nn.Sequential(linear(784, 256), torch.nn.ReLU())
        encoder = _Encoder(hidden, linear(256, 2), linear(256, 2))
        decoder = torch.nn.Sequential(mlp(2, 256, 784), torch.nn.Sigmoid())
        model = models.VAE(config, encoder, _Decoder(decoder))
        optimizer, options = "RMSprop", {"alpha": 0.9}
    elif task == "dense_large":
        config = models.AEConfig(input_dim=(784,), latent_dim=30)
        code = torch.nn.Sequential(torch.nn.ReLU(), linear(250, 30))
        encoder = _Encoder(mlp(784, 1000, 500, 250), code)
        model = models.AE(config, encoder, _Decoder(mlp(30, 250, 500, 1000, 784)))
        optimizer, options = "Adam", {}
    else:
        raise NotImplementedError("no such model, or other phases")
    x = torch.from_numpy(np.load(data))
    own = trainers.BaseTrainer(
        model,
        BaseDataset(x, torch.zeros(len(x))),
        training_config=trainers.BaseTrainerConfig(
            output_dir="/tmp/pythae",
            per_device_train_batch_size=batch_size,
            learning_rate=1e-3,
            optimizer_cls=optimizer,
            optimizer_params=options,
            no_cuda=True,
        ),
    )
    own.prepare_training()
    return lambda: own.train_step(1)
