/*
 * torchvision's ResNets without a config: a state dict's names and shapes say
 * all that is needed. layer1 ... layer4 hold the blocks, a block with a conv3 is
 * a bottleneck (stride in its 3x3 convolution, as torchvision has it since its
 * version 0.2), layer1 keeps the size.
 */
#include <stdio.h>
#include <string.h>

#include "models/resnet.h"

static const hs_tensor *hs_dict_find(const hs_resnet_config *c, const hs_tensor_set *set,
                                     const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s%s", c->prefix, name);
    return hs_tensor_set_find(set, full);
}

/* Dimension `axis` of a convolution's kernel, checked. */
static hs_status hs_dict_width(const char *path, const hs_resnet_config *c,
                               const hs_tensor_set *set, const char *name, int axis, int *out,
                               hs_error *err) {
    const hs_tensor *tensor = hs_dict_find(c, set, name);
    if (!tensor)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %s%s is missing", path, c->prefix, name);
    char found[200];
    hs_tensor_describe(tensor, found);
    if (tensor->rank != 4 || tensor->dim[axis] < 1 || tensor->dim[axis] > HS_RESNET_WIDTH)
        return hs_fail(err, HS_ERROR_FORMAT, "%s: tensor %s%s is %s, expected a kernel", path,
                       c->prefix, name, found);
    *out = (int)tensor->dim[axis];
    return HS_OK;
}

static hs_status hs_dict_stage(const char *path, hs_resnet_config *c, const hs_tensor_set *set,
                               int stage, hs_error *err) {
    char name[64];
    int depth = 0;
    for (; depth < HS_RESNET_DEPTH; depth++) {
        snprintf(name, sizeof name, "layer%d.%d.conv1.weight", stage + 1, depth);
        if (!hs_dict_find(c, set, name))
            break;
    }
    c->depths[stage] = depth;
    snprintf(name, sizeof name, "layer%d.0.conv1.weight", stage + 1);
    HS_TRY(hs_dict_width(path, c, set, name, 0, &c->reduced[stage], err));
    snprintf(name, sizeof name, "layer%d.0.conv%d.weight", stage + 1, c->bottleneck ? 3 : 2);
    return hs_dict_width(path, c, set, name, 0, &c->widths[stage], err);
}

hs_status hs_resnet_torchvision_config(const char *path, const hs_tensor_set *set, hs_resnet *r,
                                       hs_error *err) {
    static const char *const prefixes[] = {"", "module.", "model."};
    hs_resnet_config *c = &r->config;
    *c = (hs_resnet_config){.torchvision = true, .act = HS_RELU, .stages = 4};
    for (int i = 0; i < 3 && !c->prefix; i++) {
        hs_resnet_config candidate = {.prefix = prefixes[i]};
        if (hs_dict_find(&candidate, set, "conv1.weight") &&
            hs_dict_find(&candidate, set, "layer1.0.conv1.weight"))
            c->prefix = prefixes[i];
    }
    if (!c->prefix)
        return hs_fail(err, HS_ERROR_UNSUPPORTED,
                       "%s: not a torchvision ResNet: expected tensors such as conv1.weight and "
                       "layer1.0.conv1.weight, found %.100s",
                       path, set->count ? set->tensors[0].name : "none");
    c->bottleneck = hs_dict_find(c, set, "layer1.0.conv3.weight") != NULL;
    HS_TRY(hs_dict_width(path, c, set, "conv1.weight", 0, &c->embedding_size, err));
    HS_TRY(hs_dict_width(path, c, set, "conv1.weight", 1, &c->channels, err));
    for (int stage = 0; stage < c->stages; stage++)
        HS_TRY(hs_dict_stage(path, c, set, stage, err));
    if (hs_dict_find(c, set, "fc_yaw.weight")) {
        static const char *const labels[] = {"yaw", "pitch", "roll"};
        r->head = HS_HEAD_POSE;
        r->head_said = true;
        r->labels = labels;
        r->label_count = 3;
    }
    return HS_OK;
}

bool hs_resnet_head_name(const hs_resnet_config *config, const hs_tensor_set *set, int index,
                         char name[64]) {
    static const char *const pose[] = {"fc_yaw", "fc_pitch", "fc_roll"};
    static const char *const lists[] = {"fc", "fcs", "heads", "classifiers"};
    char weight[80];
    if (!config->torchvision) {
        snprintf(name, 64, "classifier.1");
        return index == 0;
    }
    if (hs_dict_find(config, set, "fc_yaw.weight")) {
        snprintf(name, 64, "%s", index < 3 ? pose[index] : "");
        return index < 3;
    }
    snprintf(name, 64, "fc");
    if (hs_dict_find(config, set, "fc.weight"))
        return index == 0;
    for (int i = 0; i < 4; i++) {
        snprintf(name, 64, "%s.%d", lists[i], index);
        snprintf(weight, sizeof weight, "%s.weight", name);
        if (hs_dict_find(config, set, weight))
            return true;
    }
    return false;
}
