"""A generator against a discriminator: sharp images, drawn in one evaluation.

The loss compares a real image with a made one of the same class, with gradient penalties on both (Huang et al., "The
GAN is dead; long live the GAN! A Modern GAN Baseline", NeurIPS 2024): it has no local equilibria in which only some
of the images are made. Few images are kept from being learned by heart by DiffAugment; the discriminator looks at the
class little by little (Shahbazi et al., "Collapse by Conditioning", ICLR 2022).
"""

import copy
import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leaven.generators.checkpoint import Checkpoint
from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.errors import FitError
from leaven.generators.image.gan_networks import Discriminator, Generator, augmented
from leaven.generators.image.likeness import Likeness
from leaven.generators.image.network import Data, Glimpses, NetworkGenerator, scaled
from leaven.generators.image.parameters import GanParameters
from leaven.generators.seeds import derive, seeded
from leaven.generators.together import Together
from leaven.generators.training import share_done

LEAST_LOOKED_AT, MOST_LOOKED_AT = (
    50,
    500,
)  # real images that made ones are compared with, held-out ones if as many
MADE = 1000  # images that are made for a look
FEW = 2000  # images up to which every one is augmented
COLLAPSED = 0.5  # of the real images' spread
SATURATED = 0.99


class Gan(NetworkGenerator):
    """Draws images of a class from noise."""

    name = "gan"
    Parameters: ClassVar[type[Parameters]] = GanParameters

    def _build(self) -> nn.Module:
        return Generator(self.shape, len(self.classes), self.parameters.latent, self.parameters.width)

    def _loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """How far made images are from these, by which the states of a fit are compared."""
        made, asked = self._made(network, labels, generator)
        return Likeness(images, labels).distance(made, asked)

    def _made(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Enough images of these classes to compare, and their classes."""
        asked = labels.repeat(max(1, MADE // len(labels)))
        with torch.no_grad(), self.cast():
            parts = [self._draw(network, some, generator) for some in asked.split(self.draw_batch)]
        return torch.cat(parts), asked

    def _draw(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(labels), self.parameters.latent, generator=generator, device=generator.device)
        made: Tensor = network(noise, labels)
        return made

    def _train(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        batch: int,
        *,
        seed: int,
        budget: Budget,
        device: str,
        progress: Progress,
        together: Together | None = None,
    ) -> Fit:
        """Play until the steps or the budget are spent; the averaged generator of the best look stays."""
        with self.computing(device):
            data = Data(pixels, labels, batch, seed, self.device)
            with seeded(derive(seed, "discriminator")):
                discriminator = Discriminator(self.shape, len(self.classes), self.parameters.width)
            game = _Game(self, self._fresh(seed), discriminator, data)
            report = game.play(budget, Glimpses(self, game.average, progress))
            self.network = game.best_network()
        return report


class _Game:
    """The two networks, their optimizers and the averaged generator."""

    def __init__(self, owner: Gan, generator: nn.Module, discriminator: nn.Module, data: Data):
        self.owner, self.settings, self.data = owner, owner.parameters, data
        self.generator = generator
        self.discriminator: nn.Module = discriminator.to(  # type: ignore[call-overload]
            device=owner.device, memory_format=torch.channels_last
        )
        self.average = copy.deepcopy(generator).requires_grad_(False).eval()
        self.best = [value.detach().clone() for value in self.average.parameters()]
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=self.settings.rate, betas=(0.0, 0.99), fused=True)
            for network in (self.generator, self.discriminator)
        ]
        share = min(1.0, math.sqrt(FEW / len(data)))
        self.augment = share if self.settings.augment is None else self.settings.augment
        watched, rng = data.held_out, np.random.default_rng(derive(data.seed, "looked at"))
        if watched is not None and len(watched[1]) < LEAST_LOOKED_AT:
            watched = None
        count = len(data) if watched is None else len(watched[1])
        picked = np.sort(rng.permutation(count)[:MOST_LOOKED_AT])
        if watched is None:
            images, labels = data.learned(picked)
        else:
            images, labels = (part[torch.from_numpy(picked).to(owner.device)] for part in watched)
        self.real = scaled(images), labels

    def play(self, budget: Budget, progress: Progress) -> Fit:
        """Alternate until done."""
        settings = self.settings
        total = budget.steps if budget.steps is not None else settings.steps
        step, best, losses = 0, math.inf, []
        kept = Checkpoint(
            budget,
            {"generator": self.generator, "discriminator": self.discriminator},
            self.optimizers,
            {"average": list(self.average.parameters()), "best": self.best},
        )
        state = kept.load()
        if state is not None:
            step, best, losses = state["step"], state["best"], state["losses"]
        clock = False
        while step < total and not clock:
            told = self._step(step)
            step += 1
            clock = budget.steps is None and budget.spent(step)
            if step % settings.every == 0 or step == total or clock:
                far = self._look()
                losses.append({"step": step, "distance": far, **{k: float(v) for k, v in told.items()}})
                if not math.isfinite(sum(losses[-1].values())):
                    raise FitError("gan: the loss is no number any more; a lower learning rate may help")
                if far < best:
                    best = far
                    torch._foreach_copy_(self.best, list(self.average.parameters()))
                progress(share_done(step, total, budget), f"gan: step {step:,}, distance {far:.3f}")
            if kept.due:
                kept.save({"step": step, "best": best, "losses": losses})
        torch._foreach_copy_(list(self.average.parameters()), self.best)
        notes = [f"the budget allowed {step:,} of {settings.steps:,} steps"] if clock else []
        return Fit(
            steps=step,
            stopped_by="budget" if clock or budget.steps is not None else "done",
            notes=[*notes, *self._collapse(losses)],
            losses=losses,
        )

    def _step(self, step: int) -> dict[str, Tensor]:
        """One update of the discriminator and one of the generator, on the images of this step."""
        settings = self.settings
        real, labels, random = self.data.batch(step)
        order = labels.argsort(stable=True)  # neighbours of one class: the discriminator sees their spread
        real, labels = real[order], labels[order]
        ramp = min(1.0, step / settings.ramp) if settings.ramp else 1.0
        rate = settings.rate * min(1.0, (step + 1) / 100)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        for_generator, for_discriminator = self.optimizers
        both = torch.cat([labels, labels])

        with self.owner.cast():
            made = self.generator(self._noise(len(labels), random), labels)
        shown = self._shown(real, made.detach(), random)
        penalised = step % settings.lazy == 0 and settings.penalty > 0
        shown.requires_grad_(penalised)
        with self.owner.cast():
            looks_real, looks_made = self.discriminator(shown, both, ramp).chunk(2)
        loss = F.softplus(looks_made - looks_real).mean()
        penalty = torch.zeros(())
        if penalised:
            score = looks_real.sum() + looks_made.sum()
            (slope,) = torch.autograd.grad(score, shown, create_graph=True)
            penalty = slope.square().sum((1, 2, 3)).mean() * 2  # the mean of R1 and that of R2
        self._update(for_discriminator, loss + settings.penalty / 2 * settings.lazy * penalty)

        shown = self._shown(real, made, random)
        with self.owner.cast():
            self.discriminator.requires_grad_(False)
            looks_real = self.discriminator(shown[: len(real)].detach(), labels, ramp)
            looks_made = self.discriminator(shown[len(real) :], labels, ramp)
            self.discriminator.requires_grad_(True)
        against = F.softplus(looks_real - looks_made).mean()
        self._update(for_generator, against)
        with torch.no_grad():
            kept = min(settings.average, (step + 1) / (step + 10))
            torch._foreach_lerp_(
                list(self.average.parameters()), [p.data for p in self.generator.parameters()], 1 - kept
            )
        return {
            "discriminator": loss.detach(),
            "generator": against.detach(),
            "told_apart": torch.sigmoid(looks_real - looks_made).mean().detach(),
        }

    def _shown(self, real: Tensor, made: Tensor, random: torch.Generator) -> Tensor:
        changed = augmented(torch.cat([real, made]), self.augment, random)
        return changed.contiguous(memory_format=torch.channels_last)

    def _update(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def _noise(self, count: int, random: torch.Generator) -> Tensor:
        return torch.randn(count, self.settings.latent, generator=random, device=random.device)

    def _look(self) -> float:
        return float(self.owner._loss(self.average, *self.real, self.data.generator("look")))

    def _collapse(self, losses: list[dict[str, float]]) -> list[str]:
        """What a person should know about the images of the state that is kept."""
        made, asked = self.owner._made(self.average, self.real[1], self.data.generator("look"))
        notes = []
        narrow = {k: v for k, v in Likeness(*self.real).spreads(made, asked).items() if v < COLLAPSED}
        if narrow:
            told = ", ".join(
                f"'{self.owner.classes[label]}' {share:.0%}"
                for label, share in sorted(narrow.items(), key=lambda pair: pair[1])[:5]
            )
            notes.append(f"collapse: made images lie closer together than real ones; spread {told}")
        if losses and losses[-1]["told_apart"] > SATURATED:
            notes.append(
                f"the discriminator tells real from made in {losses[-1]['told_apart']:.1%}: little is learned from it"
            )
        return notes

    def best_network(self) -> nn.Module:
        """The averaged generator of the best look."""
        return self.average.requires_grad_(True).eval()
