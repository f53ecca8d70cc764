/* Masks of `hspace jacobian`: pictures, label maps and rectangles. */
#include "jacobian.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* FILE, or FILE:4,5 where that is not itself a file. */
void cli_region_parse_mask(const char *text, cli_region *out) {
    char why[CLI_WHY];
    *out = (cli_region){.text = text, .is_file = true};
    const char *colon = strrchr(text, ':');
    size_t length = strlen(text);
    if (colon && colon[1] && strspn(colon + 1, "0123456789,") == strlen(colon + 1) &&
        access(text, F_OK) != 0) {
        int64_t *labels = NULL;
        if (!cli_parse_ints(colon + 1, 0, 255, 256, &labels, &out->label_count, why))
            cli_usage_error("--mask: labels: %s", why);
        for (int i = 0; i < out->label_count; i++)
            out->labels[i] = (int)labels[i];
        free(labels);
        length = (size_t)(colon - text);
    }
    if (length == 0)
        cli_usage_error("--mask: the name is empty");
    out->path = strndup(text, length);
    const char *base = out->path ? strrchr(out->path, '/') : NULL;
    base = base ? base + 1 : out->path;
    const char *dot = base ? strrchr(base, '.') : NULL;
    int stem = base ? (int)(dot && dot != base ? (size_t)(dot - base) : strlen(base)) : 0;
    char labels[200] = "";
    for (int i = 0, used = 0; i < out->label_count && used < 180; i++)
        used += snprintf(labels + used, sizeof labels - (size_t)used, "-%d", out->labels[i]);
    if (!base || asprintf(&out->name, "%.*s%s", stem, base, labels) < 0)
        cli_usage_error("--mask: out of memory");
}

void cli_region_parse_rectangle(const char *text, cli_region *out) {
    char why[CLI_WHY];
    int64_t *values = NULL;
    int count = 0;
    *out = (cli_region){.text = text};
    if (!cli_parse_ints(text, 0, 1 << 20, 4, &values, &count, why))
        cli_usage_error("--region: %s", why);
    if (count != 4)
        cli_usage_error("--region: '%.60s' is not x,y,w,h in pixels from the top left", text);
    for (int i = 0; i < 4; i++)
        out->rectangle[i] = (int)values[i];
    free(values);
    if (out->rectangle[2] == 0 || out->rectangle[3] == 0)
        cli_usage_error("--region: '%.60s' is empty: width and height are at least 1", text);
    out->name = strdup(text);
    if (!out->name)
        cli_usage_error("--region: out of memory");
}

void cli_region_free(cli_region *region) {
    free(region->path);
    free(region->name);
    free(region->inside);
    *region = (cli_region){0};
}

static hs_status cli_region_fill(const cli_region *region, int height, int width, hs_error *err) {
    const int *r = region->rectangle;
    if (r[0] + r[2] > width || r[1] + r[3] > height)
        return cli_fail(err, HS_ERROR_ARGUMENT,
                        "--region %.60s: reaches to %d, %d, but the image is %d x %d pixels (width "
                        "x height)",
                        region->text, r[0] + r[2], r[1] + r[3], width, height);
    for (int y = r[1]; y < r[1] + r[3]; y++)
        memset(region->inside + (size_t)y * (size_t)width + r[0], 1, (size_t)r[2]);
    return HS_OK;
}

/* Files of one name in two folders, or a mask given twice. */
static hs_status cli_region_rename(cli_region *regions, int index, hs_error *err) {
    char *plain = regions[index].name, *name = NULL;
    for (int number = 1; number <= index + 1; number++) {
        free(name);
        if (asprintf(&name, number > 1 ? "%s-%d" : "%s", plain, number) < 0)
            return cli_fail_memory(err);
        int same = 0;
        while (same < index && strcmp(regions[same].name, name) != 0)
            same++;
        if (same == index)
            break;
    }
    free(plain);
    regions[index].name = name;
    return HS_OK;
}

hs_status cli_regions_load(const hs_model_info *info, cli_region *regions, int count,
                           hs_error *err) {
    int height = info->image[1], width = info->image[2];
    for (int i = 0; i < count; i++) {
        cli_region *region = &regions[i];
        hs_status status = cli_region_rename(regions, i, err);
        if (status != HS_OK)
            return status;
        region->inside = calloc((size_t)height, (size_t)width);
        if (!region->inside)
            return cli_fail_memory(err);
        if (region->is_file)
            status = hs_mask_load(region->path, region->labels, region->label_count, height, width,
                                  region->inside, err);
        else
            status = cli_region_fill(region, height, width, err);
        if (status != HS_OK)
            return status;
    }
    return HS_OK;
}
