#!/usr/bin/env python3
"""Train one of hspace's diffusion models, on a GPU or a CPU.

    python ddpm.py avatars64 DATA OUT
    python ddpm.py faces64 DATA OUT --seconds 3600

The first argument names a recipe (RECIPES, below); DATA is a data folder (data.py); the
last `held` images in order of their names are never trained on. OUT becomes a folder in
the diffusers layout, f16 (model_index.json, scheduler/, unet/), with training.csv, the
log; card.py writes its model card.

The recipe of all: a DDPM (1000 steps, linear betas 1e-4 ... 0.02) that predicts the noise;
the loss weighted by min(SNR, 5)/SNR (Hang et al. 2023), no less than 0.05, times
1 + 3 (t/999)^3, since an error in the noisiest steps is multiplied by up to 150 on its way to
the image and shows as drifting brightness; timesteps drawn in strata; AdamW; an average of
the weights, which is what is stored; bf16 but for the last convolution (float32 on a
processor without bf16).

It goes on for the recipe's steps, or until --seconds of training were spent over all starts
if that comes first: the learning rate follows whichever is further. Stopped at any time and
started again with the same --work, it goes on from its last checkpoint. --start takes the
weights of a folder to begin with, such as the published ones. The seed fixes
weights, order, noise and timesteps; a different device, batch or library version gives a
different model all the same. Needs what requirements.txt names.
"""
import argparse
import copy
import csv
import math
import os
import pathlib
import time

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

import data as datasets

SIZE = 64
STEPS = 1000
SAMPLE_STEPS = 50
RECIPES = {
    "avatars64": dict(widths=(32, 64, 128, 192), layers=1, attention=(3,), groups=8, dropout=0.0,
                      held=2000, crop=None, flip=False, jitter=0.0,
                      batch=256, rate=8e-4, average=0.9995, steps=16000),
    "faces64": dict(widths=(48, 96, 144, 192), layers=2, attention=(2, 3), groups=8, dropout=0.1,
                    held=1000, crop=(0, 12, 89, 89), flip=True, jitter=0.1,
                    batch=256, rate=5e-4, average=0.9995, steps=40000),
}


def arguments():
    p = argparse.ArgumentParser(description="Train one of hspace's diffusion models.")
    p.add_argument("recipe", choices=RECIPES)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--seconds", type=float, default=math.inf, help="limit on training time, over all starts")
    p.add_argument("--steps", type=int, help="default: the recipe's")
    p.add_argument("--batch", type=int, help="default: the recipe's; on a CPU 64 is more than enough")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--start", type=pathlib.Path, help="a diffusers folder of the recipe's shape to begin with")
    p.add_argument("--samples", type=int, default=0,
                   help="so many samples (eta 1) into WORK/samples.png, 32 in a row, for card.py")
    p.add_argument("--compile", action="store_true", help="torch.compile; pays on a GPU")
    p.add_argument("--work", type=pathlib.Path, help="checkpoint and reduced images; default OUT.work")
    a = p.parse_args()
    a.work = a.work or a.out.with_name(a.out.name + ".work")
    a.recipe_name, a.recipe = a.recipe, dict(RECIPES[a.recipe])
    for name in ("batch", "steps"):
        if getattr(a, name):
            a.recipe[name] = getattr(a, name)
    a.device = "cuda" if torch.cuda.is_available() else "cpu"
    a.bf16 = a.device == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return a


def new_model(r):
    down = ["AttnDownBlock2D" if i in r["attention"] else "DownBlock2D" for i in range(len(r["widths"]))]
    up = [name.replace("Down", "Up") for name in reversed(down)]
    return UNet2DModel(
        sample_size=SIZE, in_channels=3, out_channels=3, block_out_channels=r["widths"],
        layers_per_block=r["layers"], down_block_types=down, up_block_types=up,
        norm_num_groups=r["groups"], attention_head_dim=None, freq_shift=1, flip_sin_to_cos=False,
        downsample_padding=0, norm_eps=1e-6, dropout=r["dropout"])


def noise_schedule(device):
    """Cumulated alphas and the weight of each step's loss, [STEPS] each."""
    alphas = torch.cumprod(1 - torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64), 0)
    snr = alphas / (1 - alphas)
    weight = (snr.clamp(max=5) / snr).clamp(min=0.05)
    weight *= 1 + 3 * (torch.arange(STEPS, dtype=torch.float64) / (STEPS - 1)) ** 3
    return alphas.float().to(device), (weight / weight.mean()).float().to(device)


def last_convolution_in_float32(model):
    """The noisiest steps need more of eps than bf16's eight bits."""
    plain = model.conv_out.forward

    def forward(x):
        with torch.autocast(x.device.type, enabled=False):
            return plain(x.float())

    model.conv_out.forward = forward


class Run:
    """The state that a checkpoint holds, and the step that changes it."""

    def __init__(self, a):
        self.a, self.r = a, a.recipe
        torch.manual_seed(a.seed)
        self.model = new_model(self.r)
        if a.start:
            stored = UNet2DModel.from_pretrained(a.start / "unet", torch_dtype=torch.float32)
            self.model.load_state_dict(stored.state_dict())
        self.model = self.model.to(a.device, memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.r["rate"], betas=(0.9, 0.99),
                                           weight_decay=1e-4, fused=a.device == "cuda")
        self.generator = torch.Generator(a.device).manual_seed(a.seed)
        self.alphas, self.weight = noise_schedule(a.device)
        self.step, self.seconds, self.log = 0, 0.0, []
        self.path = a.work / "checkpoint.pt"
        if self.path.exists():
            self.load()
        last_convolution_in_float32(self.model)
        last_convolution_in_float32(self.mean)
        self.forward = torch.compile(self.model) if a.compile else self.model

    def load(self):
        saved = torch.load(self.path, map_location=self.a.device, weights_only=False)
        self.model.load_state_dict(saved["model"])
        self.mean.load_state_dict(saved["mean"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"].cpu())
        self.step, self.seconds, self.log = saved["step"], saved["seconds"], saved["log"]

    def save(self):
        temporary = self.path.with_suffix(".tmp")
        torch.save({"model": self.model.state_dict(), "mean": self.mean.state_dict(),
                    "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state(),
                    "step": self.step, "seconds": self.seconds, "log": self.log}, temporary)
        os.replace(temporary, self.path)

    def progress(self):
        return max(self.step / self.r["steps"], self.seconds / self.a.seconds)

    def rate(self):
        """A warm-up, level to the middle, then a cosine down to nothing."""
        late = max(0.0, min(1.0, (self.progress() - 0.4) / 0.6))
        return self.r["rate"] * min(1, (self.step + 1) / 500) * 0.5 * (1 + math.cos(math.pi * late))

    def uniform(self, *shape):
        return torch.rand(*shape, generator=self.generator, device=self.a.device)

    def batch(self, images):
        """float [b,3,size,size] in -1 ... 1: uint8 images drawn with replacement, flipped
        and changed in brightness and contrast as the recipe says."""
        n = self.r["batch"]
        pick = torch.randint(0, len(images), (n,), generator=self.generator, device=self.a.device)
        x = images[pick].float() / 127.5 - 1
        if self.r["flip"]:
            x = torch.where(self.uniform(n, 1, 1, 1) < 0.5, x.flip(3), x)
        if self.r["jitter"]:
            # Half of the images stay as they are: the model should not learn the change.
            size = self.r["jitter"] * (self.uniform(n, 1, 1, 1) < 0.5)
            gain = 1 + size * (2 * self.uniform(n, 1, 1, 1) - 1)
            x = (gain * x + size * (2 * self.uniform(n, 1, 1, 1) - 1)).clamp(-1, 1)
        return x.contiguous(memory_format=torch.channels_last)

    def loss(self, model, x, t, noise):
        """Mean squared error of eps of each image [b], float32."""
        alpha = self.alphas[t][:, None, None, None]
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.a.bf16):
            eps = model(alpha.sqrt() * x + (1 - alpha).sqrt() * noise, t).sample
        return ((eps.float() - noise) ** 2).mean((1, 2, 3))

    def train_step(self, images):
        n = self.r["batch"]
        x = self.batch(images)
        strata = torch.arange(n, device=x.device) + self.uniform(n)
        t = (strata * (STEPS / n)).long().clamp(max=STEPS - 1)
        noise = torch.randn(x.shape, generator=self.generator, device=x.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        loss = (self.loss(self.forward, x, t, noise) * self.weight[t]).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        keep = min(self.r["average"], (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.model.parameters()), 1 - keep)
        self.step += 1
        return loss.detach()

    @torch.no_grad()
    def mean_loss(self, images):
        """Loss of the averaged weights on at most 512 images, the same noise at every call:
        the held images beside the trained ones tell when a model begins to memorise."""
        generator = torch.Generator(self.a.device).manual_seed(1)
        total = 0.0
        parts = images[:512].split(128)
        for part in parts:
            x = part.float() / 127.5 - 1
            t = (torch.arange(len(x), device=x.device) * (STEPS / len(x))).long()
            noise = torch.randn(x.shape, generator=generator, device=x.device)
            total += float((self.loss(self.mean, x, t, noise) * self.weight[t]).mean())
        return total / len(parts)

    def train(self, images, held):
        cuda = self.a.device == "cuda"
        every, running = (200 if cuda else 20), None
        saved = self.seconds
        last = time.monotonic()
        while self.progress() < 1:
            loss = self.train_step(images)
            running = loss if running is None else running.lerp(loss, 0.02)
            if self.step % 20 and cuda:
                continue
            if cuda:
                torch.cuda.synchronize()
            now = time.monotonic()
            self.seconds += now - last
            last = now
            if self.step % every == 0:
                line = f"step {self.step}  loss {running.item():.5f}  rate {self.rate():.1e}  {self.seconds:.0f} s"
                if self.step % (10 * every) == 0:
                    row = [self.step, round(self.seconds), round(self.mean_loss(images), 5),
                           round(self.mean_loss(held), 5)]
                    self.log.append(row)
                    line += f"  averaged weights: trained {row[2]:.5f} held {row[3]:.5f}"
                print(line, flush=True)
            if self.seconds - saved > 60:
                self.save()
                saved = self.seconds
        self.save()

    @torch.no_grad()
    def sample(self, model, count, eta):
        """uint8 [count,size,size,3], in float32, DDIM with 50 steps."""
        scheduler = DDIMScheduler(STEPS, 1e-4, 0.02, "linear", clip_sample=False,
                                  timestep_spacing="leading", steps_offset=0)
        scheduler.set_timesteps(SAMPLE_STEPS)
        generator = torch.Generator(self.a.device).manual_seed(self.a.seed)
        out = []
        for start in range(0, count, 256):
            n = min(256, count - start)
            x = torch.randn(n, 3, SIZE, SIZE, generator=generator, device=self.a.device)
            for t in scheduler.timesteps:
                eps = model(x, t.to(self.a.device)).sample
                x = scheduler.step(eps, t, x, eta=eta, generator=generator).prev_sample
            out.append(((x + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu())
        return torch.cat(out).numpy()

    def export(self):
        """The averaged weights in f16, in the layout of the diffusers library."""
        plain = new_model(self.r)
        plain.load_state_dict(self.mean.state_dict())
        scheduler = DDPMScheduler(STEPS, 1e-4, 0.02, "linear", clip_sample=False)
        DDPMPipeline(plain.half(), scheduler).save_pretrained(self.a.out)
        with open(self.a.out / "training.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", "seconds", "loss_trained", "loss_held"])
            writer.writerows(self.log)
        return UNet2DModel.from_pretrained(self.a.out / "unet", torch_dtype=torch.float32).eval().to(self.a.device)


def write_sheet(images, path, columns=32):
    n, size = images.shape[:2]
    rows = -(-n // columns)
    sheet = np.zeros((rows * size, columns * size, 3), np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        sheet[y * size:(y + 1) * size, x * size:(x + 1) * size] = image
    Image.fromarray(sheet).save(path)


def main():
    a = arguments()
    a.work.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    images = datasets.load_images(a.data, SIZE, a.recipe["crop"], a.work / f"images{SIZE}.npy")
    images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(a.device)
    run = Run(a)
    trained = len(images) - a.recipe["held"]
    parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{a.recipe_name} on {a.device}: {parameters} parameters, {trained} images trained on, "
          f"{a.recipe['held']} held, from step {run.step}", flush=True)
    run.train(images[:trained], images[trained:])
    stored = run.export()
    print(f"exported after {run.step} steps, {run.seconds:.0f} s", flush=True)
    if a.samples:
        write_sheet(run.sample(stored, a.samples, 1.0), a.work / "samples.png")


if __name__ == "__main__":
    main()
