# Sources of this room, by name: IO without libvips, IO_IMAGE with it.
list(APPEND IO
  io/file.c
  io/json.c
  io/tensor_set.c
  io/tensor_read.c
  io/resume.c io/safetensors.c
  io/safetensors_write.c
  io/shards.c
  io/directions.c
  io/directions_pick.c
  io/direction_file.c
  io/latent_file.c
  io/recipe.c)
list(APPEND IO # foreign formats
  io/pickle.c
  io/pickle_torch.c
  io/torch.c
  io/torch_zip.c
  io/torch_legacy.c
  io/tfjs_model.c)
list(APPEND IO io/csv.c io/labels.c)
set(IO_IMAGE io/image.c io/image_fit.c io/mask.c io/vips_setup.c)
list(APPEND IO io/public_tensors.c)
