"""Where half the bits are enough: matrices in bfloat16 on hardware that multiplies them faster."""


def half_precision(asked: str, device: str) -> bool:
    """Whether to compute in bfloat16 where `auto` is asked: on CUDA, and on a CPU that multiplies such matrices in
    hardware."""
    if asked != "auto":
        return asked == "bf16"
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_amx_tile_supported())
