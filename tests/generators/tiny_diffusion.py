"""A latent diffusion pipeline, small enough to be built in seconds; only its autoencoder has learned anything."""

from pathlib import Path
from typing import Any

WORDS = ("a", "photo", "of", "an", "dark", "light", "grey", "bright", "image")
SIDE = 16


def build(folder: Path, seed: int = 0) -> Path:
    """Write a Stable Diffusion pipeline in safetensors, by the seed. Latents are 4 x 8 x 8."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=SIDE // 2,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=16,
            attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            sample_size=SIDE,
        )
        _taught(vae)
        tokenizer = CLIPTokenizer(**_vocabulary(), model_max_length=12)
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=16,
                num_attention_heads=2,
                num_hidden_layers=2,
                max_position_embeddings=12,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    pipeline = StableDiffusionImg2ImgPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _taught(vae: Any, steps: int = 80) -> None:
    """Train the autoencoder for a moment: light comes back light, and dark dark."""
    import torch

    optimizer = torch.optim.Adam(vae.parameters(), lr=0.01)
    for _ in range(steps):
        images = torch.rand(8, 1, 1, 1) * 1.8 - 0.9 + 0.1 * torch.randn(8, 3, SIDE, SIDE)
        back = vae.decode(vae.encode(images).latent_dist.sample()).sample
        optimizer.zero_grad()
        (back - images).square().mean().backward()
        optimizer.step()


def _vocabulary() -> dict[str, Any]:
    """CLIP's byte-pair tables, for single letters and the few words."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            pair = (pieces[0], pieces[1])
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
            if pair not in merges:
                merges.append(pair)
                tokens.append(pieces[0])
    return {"vocab": {token: place for place, token in enumerate(dict.fromkeys(tokens))}, "merges": merges}
