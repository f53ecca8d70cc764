/*
 * What a classifier does with an image before its first layer: resize, crop,
 * scale, normalise. Read from transformers' preprocessor_config.json, or from
 * the text of --preprocess.
 */
#ifndef HS_MODELS_PREPROCESS_H
#define HS_MODELS_PREPROCESS_H

#include "base/resize.h"

#define HS_PREPROCESS_CHANNELS 64

typedef struct hs_preprocess {
    bool resize;
    int height, width; /* the size to resize to; 0: by the shorter edge */
    int shortest;      /* that edge; the other follows, rounded down */
    int crop;          /* then the middle square of so many pixels; 0: no crop */
    hs_resample filter;
    double factor; /* value = pixel * factor, pixel in 0 ... 255 */
    double mean[HS_PREPROCESS_CHANNELS], std[HS_PREPROCESS_CHANNELS]; /* (value - mean) / std */
} hs_preprocess;

/*
 * Parse a preprocessor_config.json of `channels` channels: the classes ViT and
 * ConvNext (Image Processor or Feature Extractor, also Fast and Pil), which is
 * what ResNets are published with, with their defaults. Others, and resampling
 * but bilinear, bicubic and Lanczos, are HS_ERROR_UNSUPPORTED.
 */
hs_status hs_preprocess_parse(const char *path, const void *data, size_t size, int channels,
                              hs_preprocess *out, hs_error *err);

/*
 * "size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225": the size is a square
 * or HEIGHTxWIDTH; mean and std are of values from 0 to 1, one for each channel
 * or one for all; ",resample=bilinear", "bicubic" or "lanczos" may follow
 * (default bilinear). size, mean and std must be there.
 */
hs_status hs_preprocess_text(const char *text, int channels, hs_preprocess *out, hs_error *err);

/* The sizes that an image passes through: resized, then cropped from (top, left). */
typedef struct hs_preprocess_sizes {
    int resized[2], out[2], top, left;
} hs_preprocess_sizes;
hs_status hs_preprocess_sizes_of(const hs_preprocess *p, int height, int width,
                                 hs_preprocess_sizes *out, hs_error *err);

#endif
