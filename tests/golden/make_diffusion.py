"""Golden values of tests/diffusion, from PyTorch and diffusers.

    python tests/golden/make_diffusion.py

writes tests/golden/diffusion/*.safetensors. The network is a tiny one that
tests/diffusion/tiny_model.c builds as a graph, and the embedded one; samplers are diffusers'
DDIMPipeline and DDIMScheduler, and plain loops where diffusers has no word for
what is computed (one eta a step, z of one call, delta_h).
"""
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d import UNet2DOutput
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "diffusion"
DEMO = pathlib.Path(__file__).parents[2] / "models/demo/avatars32"
torch.set_num_threads(1)
torch.set_grad_enabled(False)


# ------------------------------------------------------------ generator --

LENGTHS = [1, 5, 15, 16, 17, 37, 100, 3072]
SEEDS = [0, 1, 42, 2**32 + 7, 2**40 + 123456789, -3]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def make_random():
    tensors = {"seeds": torch.tensor(SEEDS), "lengths": torch.tensor(LENGTHS)}
    for i, seed in enumerate(SEEDS):
        # random_() over all of int64 takes two words a value, the first one high.
        pairs = torch.empty(350, dtype=torch.int64).random_(-(2**63), None, generator=generator(seed))
        words = torch.stack([pairs >> 32 & 0xFFFFFFFF, pairs & 0xFFFFFFFF], 1).flatten()
        tensors[f"words.{i}"] = words
        tensors[f"uniform.{i}"] = torch.rand(700, generator=generator(seed))
        for length in LENGTHS:
            g = generator(seed)  # three calls in a row: what a call leaves behind counts
            calls = [torch.randn(length, generator=g) for _ in range(3 if length < 3072 else 1)]
            tensors[f"randn.{i}.{length}"] = torch.stack(calls)
    save_file(tensors, OUT / "random.safetensors")


# ------------------------------------------------------------- schedules --

TRAINED = np.linspace(2e-4, 3e-2, 100) ** 1.1
SCHEDULES = {
    "linear": dict(),
    "linear_100": dict(num_train_timesteps=100, beta_start=1e-3, beta_end=0.2),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "squaredcos_cap_v2": dict(beta_schedule="squaredcos_cap_v2"),
    "trained_betas": dict(num_train_timesteps=100, trained_betas=TRAINED.tolist()),
}
STEPS = [1, 2, 3, 7, 10, 25, 50, 99, 130, 300]


def keras_cosine(N, s=0.008):
    x = np.arange(N + 1) / N
    f = np.cos((x + s) / (1 + s) * np.pi / 2) ** 2
    betas = np.clip(1 - f[1:] / f[:-1], 1e-4, 0.9999)
    return np.cumprod(1 - betas)


def make_schedule():
    tensors = {"trained_betas": torch.tensor(TRAINED)}
    for name, config in SCHEDULES.items():
        tensors[f"alphas_cumprod.{name}"] = DDIMScheduler(**config).alphas_cumprod
    tensors["alphas_cumprod.keras_cosine"] = torch.tensor(keras_cosine(300))
    for spacing in ["leading", "trailing", "linspace"]:
        for N in [300, 1000]:
            for offset in [0, 1] if spacing == "leading" else [0]:
                scheduler = DDIMScheduler(num_train_timesteps=N, timestep_spacing=spacing,
                                          steps_offset=offset)
                for T in STEPS:
                    scheduler.set_timesteps(T)
                    if len(scheduler.timesteps) != T or scheduler.timesteps.max() >= N:
                        continue  # what hspace refuses, or diffusers gets wrong
                    tensors[f"timesteps.{spacing}.{N}.{offset}.{T}"] = scheduler.timesteps.int()
    save_file(tensors, OUT / "schedule.safetensors")


# ------------------------------------------------------------ trajectories --


class Tiny(ModelMixin, ConfigMixin):
    """x, t -> h (6 channels, half the size) -> eps; small enough for golden files."""

    @register_to_config
    def __init__(self, sample_size=8, in_channels=3):
        super().__init__()
        self.time = torch.nn.Linear(16, 8)
        self.conv_in = torch.nn.Conv2d(in_channels, 8, 3, padding=1)
        self.conv_h = torch.nn.Conv2d(8, 6, 3, padding=1)
        self.conv_out = torch.nn.Conv2d(14, in_channels, 3, padding=1)
        self.delta_h = None
        self.h = []

    def forward(self, x, t):
        t = torch.as_tensor(t).expand(len(x))
        embedding = get_timestep_embedding(t, 16, flip_sin_to_cos=False, downscale_freq_shift=0)
        a = F.silu(self.conv_in(x) + self.time(embedding)[:, :, None, None])
        h = self.conv_h(F.avg_pool2d(a, 2))
        self.h.append(h)
        if self.delta_h is not None:
            h = h + self.delta_h
        u = F.interpolate(F.silu(h), scale_factor=2.0, mode="nearest")
        return UNet2DOutput(sample=x + self.conv_out(torch.cat([u, a], 1)))


def make_tiny(seed, **config):
    torch.manual_seed(seed)
    model = Tiny(**config)
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
        parameter.copy_(torch.randn_like(parameter) * fan_in**-0.5)
    return model.eval()


TRAJECTORY_SEEDS = [3, 2**32 + 5]
BASE = dict(clip_sample=False)


def pipeline(model, T, eta, **config):
    """x_0 of DDIMPipeline before its own conversion to [0, 1]."""
    scheduler = DDIMScheduler(**{**BASE, **config})
    pipe = DDIMPipeline(model, scheduler)
    pipe.set_progress_bar_config(disable=True)
    step, seen = pipe.scheduler.step, []

    def recording_step(*args, **kwargs):
        seen.append(step(*args, **kwargs))
        return seen[-1]

    pipe.scheduler.step = recording_step
    pipe(batch_size=len(TRAJECTORY_SEEDS), generator=[generator(s) for s in TRAJECTORY_SEEDS],
         eta=eta, num_inference_steps=T, output_type="pt")
    return seen[-1].prev_sample


def start(model, T, z_seed="continue"):
    """x_T [n,C,H,W] and z [n,T,C,H,W] by the three seed rules."""
    c, s = model.config.in_channels, model.config.sample_size
    x_T, z = [], []
    for seed in TRAJECTORY_SEEDS:
        g = generator(seed)
        x_T.append(torch.randn(1, c, s, s, generator=g))
        if z_seed == "continue":
            z.append(torch.cat([torch.randn(1, c, s, s, generator=g) for _ in range(T)]))
        else:
            g = generator(seed + 1 if z_seed == "+1" else z_seed)
            z.append(torch.randn(T, c, s, s, generator=g))
    return torch.cat(x_T), torch.stack(z)


def loop(model, T, eta, z_seed="continue", delta_h=None, asyrp=False, **config):
    """DDIMScheduler.step with its noise passed in; delta_h [T,n or 1,c,h,w] by hand."""
    scheduler = DDIMScheduler(**{**BASE, **config})
    scheduler.set_timesteps(T)
    etas = list(eta) if isinstance(eta, (list, tuple)) else [eta] * T
    x, z = start(model, T, z_seed)
    model.h = []
    for i, t in enumerate(scheduler.timesteps):
        noise = z[:, i] if etas[i] > 0 else None
        model.delta_h = None
        plain = model(x, t).sample if asyrp or delta_h is None else None
        if delta_h is None:
            x = scheduler.step(plain, t, x, eta=etas[i], variance_noise=noise).prev_sample
            continue
        model.delta_h = delta_h[i]
        edited = model(x, t).sample
        if not asyrp:
            x = scheduler.step(edited, t, x, eta=etas[i], variance_noise=noise).prev_sample
            continue
        # Asyrp: P_t of the edited eps, D_t of the plain one.
        prev = t - scheduler.config.num_train_timesteps // T
        a = scheduler.alphas_cumprod[t]
        a_prev = scheduler.alphas_cumprod[prev] if prev >= 0 else scheduler.final_alpha_cumprod
        var = (1 - a_prev) / (1 - a) * (1 - a / a_prev)
        x0_hat = (x - (1 - a) ** 0.5 * edited) / a**0.5
        x = a_prev**0.5 * x0_hat + (1 - a_prev - etas[i] ** 2 * var) ** 0.5 * plain
        if etas[i] > 0:
            x = x + etas[i] * var**0.5 * noise
    model.delta_h = None
    return x


def make_trajectories():
    models = {"rgb": make_tiny(11), "odd": make_tiny(12, sample_size=6, in_channels=1),
              "dot": make_tiny(13, sample_size=2, in_channels=1)}
    for name, model in models.items():
        save_file({k: v.contiguous() for k, v in model.state_dict().items()},
                  OUT / f"tiny_{name}.safetensors")
    rgb = models["rgb"]
    T = 10
    eta_list = [0, 0.5, 1, 0, 0.25, 1, 0.75, 0, 1, 0.5]
    delta_h = torch.randn(T, 1, 6, 4, 4, generator=generator(99))
    windowed = torch.cat([torch.zeros(3, 1, 6, 4, 4), delta_h[:4], torch.zeros(3, 1, 6, 4, 4)])
    windowed[3:7] = 1.5 * delta_h[0]
    cosine = dict(beta_schedule="squaredcos_cap_v2")
    out = {
        "delta_h": delta_h[:, 0],
        "eta_0": pipeline(rgb, T, 0.0),
        "eta_0.3": pipeline(rgb, T, 0.3),
        "eta_1": pipeline(rgb, T, 1.0),
        "T_7": pipeline(rgb, 7, 1.0),
        "clip_eta_0": pipeline(rgb, T, 0.0, clip_sample=True, clip_sample_range=0.7),
        "clip_eta_1": pipeline(rgb, T, 1.0, clip_sample=True),
        "v": pipeline(rgb, T, 0.3, prediction_type="v_prediction"),
        "v_clip": pipeline(rgb, T, 0.3, prediction_type="v_prediction", clip_sample=True),
        "sample": pipeline(rgb, T, 0.3, prediction_type="sample"),
        "sample_clip": pipeline(rgb, T, 1.0, prediction_type="sample", clip_sample=True),
        "cosine_clip": pipeline(rgb, T, 1.0, clip_sample=True, **cosine),
        "scaled_linear": pipeline(rgb, T, 0.3, beta_schedule="scaled_linear"),
        "trailing": pipeline(rgb, 7, 0.3, timestep_spacing="trailing"),
        "linspace": pipeline(rgb, 7, 0.3, timestep_spacing="linspace"),
        "offset_final": pipeline(rgb, T, 1.0, steps_offset=1, set_alpha_to_one=False),
        "eta_list": loop(rgb, T, eta_list),
        "z_plus_one": loop(rgb, T, 1.0, "+1"),
        "z_own": loop(rgb, T, 1.0, 77),
        "delta_eta_0": loop(rgb, T, 0.0, delta_h=delta_h),
        "delta_eta_1": loop(rgb, T, 1.0, delta_h=delta_h),
        "delta_window": loop(rgb, T, 0.0, delta_h=windowed),
        "asyrp_eta_0": loop(rgb, T, 0.0, delta_h=delta_h, asyrp=True),
        "asyrp_eta_1": loop(rgb, T, 1.0, delta_h=delta_h, asyrp=True),
    }
    assert torch.allclose(out["eta_1"], loop(rgb, T, 1.0), atol=1e-6)
    out["h"] = torch.stack(rgb.h, 1)  # [n,T,c,h,w] of the eta = 1 run above
    for name in ["odd", "dot"]:  # 36 and 4 values an image: not whole blocks of 16
        for T in [3, 7]:
            out[f"{name}_{T}_continue"] = loop(models[name], T, 1.0)
            out[f"{name}_{T}_plus_one"] = loop(models[name], T, 1.0, "+1")
            out[f"{name}_{T}_z"] = start(models[name], T, "+1")[1]
    save_file({k: v.contiguous() for k, v in out.items()}, OUT / "trajectories.safetensors")
    for k, v in out.items():
        print(f"{k:20} {tuple(v.shape)} largest {v.abs().max():.4g}")


# -------------------------------------------------------------- demo model --


def make_demo():
    """Whole trajectories of the embedded model, with the config as published."""
    unet = UNet2DModel.from_pretrained(DEMO, subfolder="unet", torch_dtype=torch.float32)
    unet.requires_grad_(False).eval()
    mid = []
    unet.mid_block.register_forward_hook(lambda module, args, output: mid.append(output))
    out = {}
    for name, T, eta, config in [("eta_0", 10, 0.0, {}), ("eta_1", 10, 1.0, {}),
                                 ("clip_eta_1", 4, 1.0, dict(clip_sample=True))]:
        mid.clear()
        out[name] = pipeline(unet, T, eta, **config)
        if name == "eta_1":
            out["h_0"] = mid[0][:1].clone()  # of the noisiest and the cleanest step
            out["h_9"] = mid[9][:1].clone()
    save_file({k: v.contiguous() for k, v in out.items()}, OUT / "demo.safetensors")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    make_random()
    make_schedule()
    make_trajectories()
    make_demo()
