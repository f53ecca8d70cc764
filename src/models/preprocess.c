/* See preprocess.h. */
#include "models/preprocess.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

#define HS_MAX_SIDE 8192

/* --------------------------------------------- preprocessor_config.json -- */

typedef enum hs_processor { HS_PROCESSOR_VIT, HS_PROCESSOR_CONVNEXT } hs_processor;

static hs_status hs_processor_class(const json_t *json, hs_processor *out, hs_error *err) {
    static const char *const names[] = {"ViT", "ConvNext"};
    static const char *const ends[] = {"ImageProcessor", "ImageProcessorFast", "ImageProcessorPil",
                                       "FeatureExtractor"};
    const char *text;
    char name[64];
    HS_TRY(hs_json_get_string(json, "feature_extractor_type", "ViTImageProcessor", &text, err));
    HS_TRY(hs_json_get_string(json, "image_processor_type", text, &text, err));
    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof ends / sizeof *ends; j++) {
            snprintf(name, sizeof name, "%s%s", names[i], ends[j]);
            if (!strcmp(text, name)) {
                *out = (hs_processor)i;
                return HS_OK;
            }
        }
    return hs_fail(err, HS_ERROR_UNSUPPORTED,
                   "image_processor_type \"%.60s\" is not supported, expected ViTImageProcessor or "
                   "ConvNextImageProcessor",
                   text);
}

/* size: a number, {"height", "width"} or {"shortest_edge"}. */
static hs_status hs_processor_size(const json_t *json, hs_processor class, hs_preprocess *p,
                                   hs_error *err) {
    const json_t *size = json_object_get(json, "size");
    int64_t edge = class == HS_PROCESSOR_VIT ? 224 : 384, height, width;
    if (json_is_object(size)) {
        HS_TRY(hs_json_get_int(size, "height", 0, 1, HS_MAX_SIDE, &height, err));
        HS_TRY(hs_json_get_int(size, "width", 0, 1, HS_MAX_SIDE, &width, err));
        HS_TRY(hs_json_get_int(size, "shortest_edge", 0, 1, HS_MAX_SIDE, &edge, err));
        if (edge ? height || width : !height || !width)
            return hs_fail(err, HS_ERROR_FORMAT,
                           "size: expected height and width, or shortest_edge");
        p->height = (int)height;
        p->width = (int)width;
        p->shortest = (int)edge;
        return HS_OK;
    }
    HS_TRY(hs_json_get_int(json, "size", edge, 1, HS_MAX_SIDE, &edge, err));
    if (class == HS_PROCESSOR_CONVNEXT)
        p->shortest = (int)edge;
    else
        p->height = p->width = (int)edge;
    return HS_OK;
}

/* ConvNext: below 384 the shorter edge becomes size / crop_pct, and the middle
 * is cut out; from 384 on the image is stretched to the square. */
static hs_status hs_processor_crop(const json_t *json, hs_processor class, hs_preprocess *p,
                                   hs_error *err) {
    bool crop;
    double share;
    HS_TRY(hs_json_get_bool(json, "do_center_crop", false, &crop, err));
    if (crop)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "do_center_crop true is not supported, expected false");
    if (class != HS_PROCESSOR_CONVNEXT || !p->resize)
        return HS_OK;
    if (!p->shortest)
        return hs_fail(err, HS_ERROR_FORMAT, "size: expected shortest_edge for ConvNext");
    HS_TRY(hs_json_get_double(json, "crop_pct", 224.0 / 256, 0.01, 1, &share, err));
    if (p->shortest < 384) {
        p->crop = p->shortest;
        p->shortest = (int)(p->shortest / share);
    } else {
        p->height = p->width = p->shortest;
        p->shortest = 0;
    }
    return HS_OK;
}

static hs_status hs_processor_resample(const json_t *json, hs_processor class, hs_preprocess *p,
                                       hs_error *err) {
    static const struct {
        int code;
        hs_resample filter;
    } codes[] = {{1, HS_RESAMPLE_LANCZOS}, {2, HS_RESAMPLE_BILINEAR}, {3, HS_RESAMPLE_BICUBIC}};
    int64_t code;
    HS_TRY(hs_json_get_int(json, "resample", class == HS_PROCESSOR_VIT ? 2 : 3, 0, 5, &code, err));
    for (int i = 0; i < 3; i++)
        if (codes[i].code == code) {
            p->filter = codes[i].filter;
            return HS_OK;
        }
    return hs_fail(err, HS_ERROR_UNSUPPORTED,
                   "resample %lld is not supported, expected 1 (Lanczos), 2 (bilinear) or 3 "
                   "(bicubic)",
                   (long long)code);
}

/* A list of one value a channel, or one number. */
static hs_status hs_processor_list(const json_t *json, const char *key, double otherwise,
                                   double min, int channels, double *out, hs_error *err) {
    int count = 0;
    for (int c = 0; c < channels; c++)
        out[c] = otherwise;
    if (hs_json_absent(json, key))
        return HS_OK;
    if (json_is_number(json_object_get(json, key))) {
        HS_TRY(hs_json_get_double(json, key, otherwise, min, 1e6, &out[0], err));
        for (int c = 1; c < channels; c++)
            out[c] = out[0];
        return HS_OK;
    }
    HS_TRY(hs_json_get_doubles(json, key, min, 1e6, out, HS_PREPROCESS_CHANNELS, &count, err));
    if (count != channels)
        return hs_fail(err, HS_ERROR_FORMAT, "%s has %d numbers, expected %d, one a channel", key,
                       count, channels);
    return HS_OK;
}

static hs_status hs_processor_normalize(const json_t *json, hs_processor class, int channels,
                                        hs_preprocess *p, hs_error *err) {
    static const double imagenet_mean[] = {0.485, 0.456, 0.406};
    static const double imagenet_std[] = {0.229, 0.224, 0.225};
    bool rescale, normalize;
    HS_TRY(hs_json_get_bool(json, "do_rescale", true, &rescale, err));
    HS_TRY(hs_json_get_bool(json, "do_normalize", true, &normalize, err));
    p->factor = 1;
    if (rescale)
        HS_TRY(hs_json_get_double(json, "rescale_factor", 1.0 / 255, 1e-9, 1e3, &p->factor, err));
    for (int c = 0; c < channels; c++) {
        p->mean[c] = 0;
        p->std[c] = 1;
    }
    if (!normalize)
        return HS_OK;
    bool imagenet = class == HS_PROCESSOR_CONVNEXT;
    if (imagenet && channels != 3 &&
        (hs_json_absent(json, "image_mean") || hs_json_absent(json, "image_std")))
        return hs_fail(err, HS_ERROR_FORMAT,
                       "image_mean and image_std are missing, expected %d numbers each", channels);
    HS_TRY(hs_processor_list(json, "image_mean", 0.5, -1e6, channels, p->mean, err));
    HS_TRY(hs_processor_list(json, "image_std", 0.5, 1e-6, channels, p->std, err));
    if (imagenet && hs_json_absent(json, "image_mean"))
        memcpy(p->mean, imagenet_mean, sizeof imagenet_mean);
    if (imagenet && hs_json_absent(json, "image_std"))
        memcpy(p->std, imagenet_std, sizeof imagenet_std);
    return HS_OK;
}

static hs_status hs_processor_read(const json_t *json, int channels, hs_preprocess *p,
                                   hs_error *err) {
    hs_processor class = HS_PROCESSOR_VIT;
    HS_TRY(hs_processor_class(json, &class, err));
    HS_TRY(hs_json_get_bool(json, "do_resize", true, &p->resize, err));
    HS_TRY(hs_processor_size(json, class, p, err));
    HS_TRY(hs_processor_crop(json, class, p, err));
    HS_TRY(hs_processor_resample(json, class, p, err));
    return hs_processor_normalize(json, class, channels, p, err);
}

hs_status hs_preprocess_parse(const char *path, const void *data, size_t size, int channels,
                              hs_preprocess *out, hs_error *err) {
    json_t *json;
    hs_preprocess p = {0};
    HS_TRY(hs_json_parse_object(path, data, size, &json, err));
    hs_status status = hs_processor_read(json, channels, &p, err);
    json_decref(json);
    if (status != HS_OK)
        return hs_fail_prefix(err, status, "%s", path);
    *out = p;
    return HS_OK;
}

/* ------------------------------------------------------- --preprocess -- */

/* Numbers between slashes into out [channels]; one stands for all. */
static hs_status hs_preprocess_numbers(const char *key, const char *text, double min, int channels,
                                       double *out, hs_error *err) {
    int count = 0;
    const char *at = text;
    for (;; at++) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || !isfinite(value) || value < min || count == channels ||
            (*end && *end != '/'))
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "preprocess: %s=%.60s: expected one number, or %d between slashes, of "
                           "at least %g",
                           key, text, channels, min);
        out[count++] = value;
        at = end;
        if (!*at)
            break;
    }
    if (count != 1 && count != channels)
        return hs_fail(err, HS_ERROR_ARGUMENT, "preprocess: %s=%.60s has %d numbers, expected %d",
                       key, text, count, channels);
    for (int c = count; c < channels; c++)
        out[c] = out[0];
    return HS_OK;
}

static hs_status hs_preprocess_size(const char *text, hs_preprocess *p, hs_error *err) {
    char *end;
    long height = strtol(text, &end, 10), width = height;
    if (end != text && *end == 'x') {
        const char *second = end + 1;
        width = strtol(second, &end, 10);
        end = end == second ? (char *)text : end;
    }
    if (end == text || *end || height < 1 || width < 1 || height > HS_MAX_SIDE ||
        width > HS_MAX_SIDE)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "preprocess: size=%.60s: expected a number of pixels, or HEIGHTxWIDTH",
                       text);
    p->resize = true;
    p->height = (int)height;
    p->width = (int)width;
    return HS_OK;
}

static hs_status hs_preprocess_filter(const char *text, hs_preprocess *p, hs_error *err) {
    static const char *const names[] = {"bilinear", "bicubic", "lanczos"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, names[i])) {
            p->filter = (hs_resample)i;
            return HS_OK;
        }
    return hs_fail(err, HS_ERROR_ARGUMENT,
                   "preprocess: resample=%.60s: expected bilinear, bicubic or lanczos", text);
}

hs_status hs_preprocess_text(const char *text, int channels, hs_preprocess *out, hs_error *err) {
    char copy[512], *rest = copy;
    bool size = false, mean = false, std = false;
    hs_preprocess p = {.factor = 1.0 / 255, .filter = HS_RESAMPLE_BILINEAR};
    if (strlen(text) >= sizeof copy)
        return hs_fail(err, HS_ERROR_ARGUMENT, "preprocess: expected fewer than %zu characters",
                       sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(item, '=');
        if (value)
            *value++ = 0;
        if (value && !strcmp(item, "size") && (size = true))
            HS_TRY(hs_preprocess_size(value, &p, err));
        else if (value && !strcmp(item, "mean") && (mean = true))
            HS_TRY(hs_preprocess_numbers(item, value, -1e6, channels, p.mean, err));
        else if (value && !strcmp(item, "std") && (std = true))
            HS_TRY(hs_preprocess_numbers(item, value, 1e-6, channels, p.std, err));
        else if (value && !strcmp(item, "resample"))
            HS_TRY(hs_preprocess_filter(value, &p, err));
        else
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "preprocess: \"%.60s\": expected size=, mean=, std= or resample=", item);
    }
    if (!size || !mean || !std)
        return hs_fail(err, HS_ERROR_ARGUMENT, "preprocess: %s= is missing in \"%.100s\"",
                       !size   ? "size"
                       : !mean ? "mean"
                               : "std",
                       text);
    *out = p;
    return HS_OK;
}

/* --------------------------------------------------------------- sizes -- */

hs_status hs_preprocess_sizes_of(const hs_preprocess *p, int height, int width,
                                 hs_preprocess_sizes *out, hs_error *err) {
    hs_preprocess_sizes sizes = {.resized = {height, width}};
    int shorter = height < width ? height : width;
    if (p->resize && p->height) {
        sizes.resized[0] = p->height;
        sizes.resized[1] = p->width;
    } else if (p->resize) {
        sizes.resized[0] = (int)((int64_t)p->shortest * height / shorter);
        sizes.resized[1] = (int)((int64_t)p->shortest * width / shorter);
    }
    memcpy(sizes.out, sizes.resized, sizeof sizes.out);
    if (p->crop) {
        sizes.out[0] = sizes.out[1] = p->crop;
        sizes.top = (sizes.resized[0] - p->crop) / 2;
        sizes.left = (sizes.resized[1] - p->crop) / 2;
    }
    if (sizes.resized[0] > 4 * HS_MAX_SIDE || sizes.resized[1] > 4 * HS_MAX_SIDE)
        return hs_fail(err, HS_ERROR_ARGUMENT, "an image of %d x %d is too long to be resized",
                       height, width);
    *out = sizes;
    return HS_OK;
}
