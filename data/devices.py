"""What a device computes well."""

# of CPUs, as PyTorch names them
BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")


def computes_bfloat16_well(device: str) -> bool:
    """Return whether a device has instructions for matrix products in bfloat16.

    Training then uses them, and encoding on a CPU tries them. On other CPUs, bfloat16 takes about 8 times as long as
    float32. device: "cpu", "cuda", "cuda:1" or "mps".
    """
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.10
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
