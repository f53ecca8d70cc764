# Sources of this room, by name.
set(SOURCES
  models/builder.c
  models/config.c
  models/diffusers.c
  models/files.c
  models/fingerprint.c
  models/keras_ddpm.c
  models/keras_layers.c
  models/keras_topology.c
  models/keras_walk.c
  models/model.c
  models/names.c
  models/unet2d.c
  models/unet2d_blocks.c
  models/unet2d_config.c)
