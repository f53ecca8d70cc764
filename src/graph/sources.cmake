# Sources of this room, by name.
set(SOURCES graph/graph.c graph/optable.c graph/plan.c
  graph/jvp.c graph/vjp.c graph/path.c graph/cut.c graph/min_cut.c
  graph/ops/ops.c
  graph/ops/activation.c
  graph/ops/add.c
  graph/ops/add_channel.c
  graph/ops/affine.c
  graph/ops/attention.c
  graph/ops/avg_pool.c
  graph/ops/concat.c
  graph/ops/conv2d.c
  graph/ops/divide_rows.c
  graph/ops/fourier_embed.c
  graph/ops/group_norm.c
  graph/ops/linear.c
  graph/ops/max_pool.c
  graph/ops/mean_spatial.c
  graph/ops/modulate.c
  graph/ops/mul.c
  graph/ops/time_embed.c
  graph/ops/upsample.c)
