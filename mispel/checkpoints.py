"""Checkpoints that a killed training goes on from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from core.errors import InputError
from mispel.errors import TrainingError
from mispel.model import read_tensors, write_tensors

KEPT = 2
"""The newest and the one before it, should the newest be damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """Training after `epoch` epochs of a step: tensors by name, the losses so far, and why it stopped, if it did.

    trained_on: the devices and versions of torch that it was trained on, in turn.
    """

    epoch: int
    tensors: Mapping[str, Tensor]
    history: list[dict[str, Any]]
    stopped: str | None
    trained_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in a folder, of one training: `identity` says which settings, seed and scans it is of."""

    folder: Path
    identity: Mapping[str, Any]

    def save(self, step: str, checkpoint: Checkpoint) -> None:
        """Write a checkpoint of `step`, whole or not at all, and remove all but it and the one before it.

        One of a later epoch is another training's, which was begun anew.
        Raises `TrainingError` when the disk is full; the checkpoint before is still good then.
        """
        about = {
            "identity": dict(self.identity),
            "epoch": checkpoint.epoch,
            "history": checkpoint.history,
            "stopped": checkpoint.stopped,
            "trained_on": list(checkpoint.trained_on),
        }
        path = self.folder / f"{step}-{checkpoint.epoch:05d}.safetensors"
        try:
            write_tensors(path, checkpoint.tensors, about)
        except OSError as error:
            raise TrainingError(
                f"{path}: the checkpoint could not be written ({error.strerror or error}); the one before it is still "
                "good: make room and start again to go on from there"
            ) from error
        kept = [there for there in self._paths(step) if there <= path][:KEPT]
        for old in set(self._paths(step)).difference(kept):
            old.unlink()

    def latest(self, step: str) -> Checkpoint | None:
        """The newest usable checkpoint of `step`, or None.

        A damaged one is reported and the one before it taken; those of another training are reported and left.
        """
        for path in self._paths(step):
            try:
                tensors, about = read_tensors(path)
            except InputError as error:
                warnings.warn(f"{error}; going on from the checkpoint before it, if there is one", stacklevel=2)
                continue
            if about["identity"] != dict(self.identity):
                warnings.warn(
                    f"{path}: a checkpoint of other settings, scans or versions ("
                    f"{', '.join(_different(about['identity'], self.identity))}); training begins anew",
                    stacklevel=2,
                )
                return None
            return Checkpoint(about["epoch"], tensors, about["history"], about["stopped"], tuple(about["trained_on"]))
        return None

    def _paths(self, step: str) -> list[Path]:
        """This step's checkpoints, the newest first."""
        return sorted(self.folder.glob(f"{step}-*.safetensors"), reverse=True)


def _different(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def optimizer_tensors(optimizer: Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimizer's state by name, on the CPU."""
    return {
        f"{prefix}.{parameter}.{name}": value.detach().cpu().contiguous()
        for parameter, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def load_optimizer(optimizer: Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """Take over the state that `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(f"{prefix}."):
            parameter, name = key.removeprefix(f"{prefix}.").split(".")
            state.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def training_tensors(networks: Sequence[Module], optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The state of several networks and optimizers by name, on the CPU."""
    state = {
        f"{number}.{name}": values.detach().cpu().contiguous()
        for number, network in enumerate(networks)
        for name, values in network.state_dict().items()
    }
    for number, optimizer in enumerate(optimizers):
        state |= optimizer_tensors(optimizer, f"optimizer{number}")
    return state


def load_training(networks: Sequence[Module], optimizers: Sequence[Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Take over the state that `training_tensors` gave."""
    for number, network in enumerate(networks):
        network.load_state_dict({name: tensors[f"{number}.{name}"] for name in network.state_dict()})
    for number, optimizer in enumerate(optimizers):
        load_optimizer(optimizer, f"optimizer{number}", tensors)
