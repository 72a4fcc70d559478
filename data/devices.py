"""What a device computes well."""

# of CPUs, as PyTorch names them
BFLOAT16_INSTRUCTIONS = frozenset({"amx_bf16", "avx512_bf16"})


def cpu_instructions() -> frozenset[str]:
    """Return the instruction sets of this CPU by PyTorch's names, as "avx2" or "amx_bf16"; none before torch 2.10."""
    import torch

    if not hasattr(torch.cpu, "get_capabilities"):
        return frozenset()
    return frozenset(name for name, value in torch.cpu.get_capabilities().items() if value is True)


def computes_bfloat16_well(device: str) -> bool:
    """Return whether a device has instructions for matrix products in bfloat16.

    Training then uses them, and encoding on a CPU tries them. Other CPUs emulate bfloat16, which is slower than
    float32. device: "cpu", "cuda", "cuda:1" or "mps".
    """
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device == "cpu" and not BFLOAT16_INSTRUCTIONS.isdisjoint(cpu_instructions())
