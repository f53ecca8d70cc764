"""The peer of bench/run's pca problem: what `hspace pca -n N -k K` does, in
PyTorch, diffusers and scikit-learn.

    peer_pca.py MODEL N STEPS K THREADS BATCH MODE [DIRECTIONS]

DDIM with eta 1 from the seeds 0 ... N-1, h = the mid block's output at every
step, and a PCA of each step's N samples. MODE is as for peer.py. Prints
key=value pairs; with DIRECTIONS, hspace's file of the same run, also the largest
relative difference between the standard deviations that both found.
"""
import os
import resource
import sys
import time

START = time.perf_counter()

import torch  # noqa: E402
from diffusers import DDIMScheduler, UNet2DModel  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402


def sample(net, scheduler, shape, seeds, keep):
    """DDIM of a batch; keep(step, h) sees the mid block's output."""
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    noise = lambda: torch.stack([torch.randn(shape, generator=g) for g in generators])
    x = noise()
    for step, t in enumerate(scheduler.timesteps):
        hook = net.mid_block.register_forward_hook(lambda m, i, out: keep(step, out))
        eps = net(x, t.expand(len(seeds))).sample
        hook.remove()
        x = scheduler.step(eps, t, x, eta=1.0, variance_noise=noise()).prev_sample


def main():
    model, n, steps, k, threads, batch, mode = sys.argv[1:8]
    n, steps, k, batch = int(n), int(steps), int(k), int(batch)
    torch.set_num_threads(int(threads))
    part = "unet" if os.path.isdir(os.path.join(model, "unet")) else None
    net = UNet2DModel.from_pretrained(model, subfolder=part, local_files_only=True)
    net = net.eval().requires_grad_(False)
    if mode == "channels_last":
        net = net.to(memory_format=torch.channels_last)
    scheduler = DDIMScheduler.from_pretrained(model, subfolder="scheduler", clip_sample=False,
                                              local_files_only=True)
    scheduler.set_timesteps(steps)
    size = net.config.sample_size
    h = [[] for _ in range(steps)]
    with torch.inference_mode():
        for first in range(0, n, batch):
            sample(net, scheduler, (net.config.in_channels, size, size),
                   range(first, min(first + batch, n)),
                   lambda step, out: h[step].append(out.flatten(1).contiguous()))
    sampled = time.perf_counter() - START
    sigma = []
    for step in range(steps):
        pca = PCA(n_components=k).fit(torch.cat(h[step]).numpy())
        sigma.append(pca.singular_values_)  # over sqrt(n - 1): the standard deviations
    seconds = time.perf_counter() - START
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = f"median_ms={seconds * 1e3:.0f} min_ms={seconds * 1e3:.0f} rss_mb={rss:.0f} " \
           f"sampling_s={sampled:.1f}"
    if len(sys.argv) > 8:
        from safetensors.numpy import load_file
        found = load_file(sys.argv[8])["sigma"]  # [K, S]
        worst = max(abs(found[j, s] / (sigma[s][j] / (n - 1) ** 0.5) - 1)
                    for s in range(steps) for j in range(k))
        line += f" error={worst:.2g}"
    print(line + f" torch={torch.__version__}")


main()
