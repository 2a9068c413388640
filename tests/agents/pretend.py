"""A pretend accelerator: a torch device written in Python, for testing where tensors live on a machine without a GPU.

Tensors on it are wrappers around CPU tensors. Mixing them with CPU tensors raises, as it does on cuda; every copy from
the device to the host is counted, as each would stall a GPU. What it cannot show: speed, streams, numerics, custom
kernels, memory. Needs a torch that lets a device be written in Python.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch.utils import _pytree as pytree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
_setup_privateuseone_for_python_backend(NAME)
DEVICE = torch.device(f"{NAME}:0")
copies: Counter[str] = Counter()  # "to host", "to device"


class Pretend(torch.Tensor):
    """A tensor on the pretend device; ``raw`` is the CPU tensor that holds its numbers."""

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> Pretend:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype,
            device=DEVICE, requires_grad=raw.requires_grad,
        )  # fmt: skip
        tensor.raw = raw.detach()
        return tensor

    def tolist(self):  # torch refuses it for subclasses
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


def run(func, args, kwargs):
    """One operator: unwrap, run on the CPU, wrap; refuse to mix devices."""
    name = func._schema.name
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        parts = func.decompose(*args, **kwargs)  # in inference mode ``.cpu()`` arrives whole
        if parts is not NotImplemented:
            return parts
    leaves, _ = pytree.tree_flatten((args, kwargs))
    ours = any(isinstance(leaf, Pretend) for leaf in leaves)
    theirs = any(isinstance(leaf, torch.Tensor) and not isinstance(leaf, Pretend) and leaf.dim() for leaf in leaves)
    if name == "aten::_to_copy":
        source, options = args[0], dict(kwargs)
        target = torch.device(options.pop("device", None) or source.device)
        raw = source.raw if isinstance(source, Pretend) else source
        result = func(raw, **options, device="cpu")
        if target.type == NAME:
            return Pretend(result)
        copies["to host"] += isinstance(source, Pretend)
        return result
    if name == "aten::copy_":  # torch moves a CPU tensor to the device by an empty one and a copy into it
        copies["to device"] += isinstance(args[0], Pretend) and not isinstance(args[1], Pretend)
        copies["to host"] += isinstance(args[1], Pretend) and not isinstance(args[0], Pretend)
    if name == "aten::_local_scalar_dense":  # .item(), float(), if tensor:
        copies["to host"] += 1
    elif ours and theirs and name != "aten::copy_":  # a copy may cross
        raise RuntimeError(f"{name}: tensors of {NAME} and of the cpu in one operation")

    def unwrap(leaf):
        if isinstance(leaf, Pretend):
            return leaf.raw
        return torch.device("cpu") if isinstance(leaf, torch.device) else leaf

    plain_args, plain_kwargs = pytree.tree_map(unwrap, (args, kwargs))
    result = func(*plain_args, **plain_kwargs)
    if func._schema.is_mutable and name.endswith("_") and isinstance(args[0], Pretend):
        return args[0]
    return pytree.tree_map(lambda leaf: Pretend(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)


_library = torch.library.Library("_", "IMPL")
_library.fallback(lambda op, *args, **kwargs: run(op, args, kwargs), dispatch_key="PrivateUse1")
