/* From a Keras model's layers to the U-Net that they are. */
#ifndef HS_MODELS_KERAS_WALK_H
#define HS_MODELS_KERAS_WALK_H

#include "models/keras_layers.h"
#include "models/unet2d.h"

/*
 * Fill in `config` (but for sample_size) and add to `out` the weights, copied
 * into PyTorch's layout and under the names that hs_unet2d_build asks for; the
 * caller seals it. What is not of the family is HS_ERROR_UNSUPPORTED and named.
 */
hs_status hs_keras_walk(hs_keras_layers *layers, hs_unet2d_config *config, hs_tensor_set *out,
                        hs_error *err);

#endif
