/* See hspace_demo.h. The bytes come from embedded.S. */
#include "hspace_demo.h"

extern const char hs_demo_model_index[], hs_demo_model_index_end[];
extern const char hs_demo_scheduler_config[], hs_demo_scheduler_config_end[];
extern const char hs_demo_unet_config[], hs_demo_unet_config_end[];
extern const char hs_demo_unet_weights[], hs_demo_unet_weights_end[];
extern const char hs_demo_classifier_config[], hs_demo_classifier_config_end[];
extern const char hs_demo_classifier_weights[], hs_demo_classifier_weights_end[];
extern const char hs_demo_classifier_processor[], hs_demo_classifier_processor_end[];

hs_status hs_demo_model_open(const hs_monitor *monitor, hs_model **out, hs_error *err) {
    const hs_blob blobs[] = {
        {"model_index.json", hs_demo_model_index,
         (size_t)(hs_demo_model_index_end - hs_demo_model_index)},
        {"scheduler/scheduler_config.json", hs_demo_scheduler_config,
         (size_t)(hs_demo_scheduler_config_end - hs_demo_scheduler_config)},
        {"unet/config.json", hs_demo_unet_config,
         (size_t)(hs_demo_unet_config_end - hs_demo_unet_config)},
        {"unet/diffusion_pytorch_model.safetensors", hs_demo_unet_weights,
         (size_t)(hs_demo_unet_weights_end - hs_demo_unet_weights)},
    };
    return hs_model_open_blobs("avatars32 (embedded)", blobs, sizeof blobs / sizeof *blobs, monitor,
                               out, err);
}

hs_status hs_demo_classifier_open(const hs_classifier_options *options, const hs_monitor *monitor,
                                  hs_classifier **out, hs_error *err) {
    const hs_blob blobs[] = {
        {"config.json", hs_demo_classifier_config,
         (size_t)(hs_demo_classifier_config_end - hs_demo_classifier_config)},
        {"model.safetensors", hs_demo_classifier_weights,
         (size_t)(hs_demo_classifier_weights_end - hs_demo_classifier_weights)},
        {"preprocessor_config.json", hs_demo_classifier_processor,
         (size_t)(hs_demo_classifier_processor_end - hs_demo_classifier_processor)},
    };
    return hs_classifier_open_blobs("avatars32-attributes (embedded)", blobs,
                                    sizeof blobs / sizeof *blobs, options, monitor, out, err);
}
