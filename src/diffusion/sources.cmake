# Sources of this room, by name.
set(SOURCES
  denoiser.c
  diffusion/anderson.c
  diffusion/edit_friendly.c
  diffusion/edit_noise.c
  diffusion/inversion.c
  diffusion/inversion_result.c
  diffusion/inversion_resume.c
  jacobian.c
  products.c
  diffusion/latents.c
  diffusion/noise.c
  diffusion/sample.c
  diffusion/sampler.c
  diffusion/schedule.c
  diffusion/trajectory.c)
