/*
 * One run of hs_attribute or hs_attribute_many: what its files share.
 *
 *   sides.c              which samples stand on which side
 *   supervised.c         weights of the samples, sums of their h
 *   supervised_result.c  figures, metadata, the directions
 */
#ifndef HS_DIRECTIONS_SUPERVISED_H
#define HS_DIRECTIONS_SUPERVISED_H

#include "diffusion/trajectory.h"
#include "directions/sides.h"
#include "io/direction_file.h"

enum { HS_TRAIN, HS_ALL, HS_FIRST_CURVE }; /* sums */

/* One attribute. */
typedef struct hs_attribute_part {
    const hs_attribute_options *options;
    hs_sides sides;
    int sums;          /* HS_FIRST_CURVE + curve_count */
    double *weights;   /* [sums, labels.rows] */
    double *sum;       /* [sums, length] */
    signed char *side; /* [labels.rows] of the held-out: 1 high, -1 low, 0 neither */
    double *score;     /* [labels.rows] of the held-out, along the train direction */
} hs_attribute_part;

typedef struct hs_attribute_run {
    hs_sampler *sampler;
    hs_labels_view labels;
    const hs_monitor *monitor;
    hs_h_source source;
    void *source_ctx;
    bool own_source; /* h is made from seeds */

    hs_attribute_part *parts; /* [count] */
    int count;
    int *rows; /* [row_count] in the order of the work */
    int row_count;
    int held_from; /* rows from here on are held out */
    bool *held;    /* [labels.rows] */
    hs_space space; /* of all parts */
    size_t length;  /* T*c*h*w; noise: C*H*W, and T*C*H*W more where any eta > 0 */
} hs_attribute_run;

static inline double *hs_part_sum(const hs_attribute_run *run, const hs_attribute_part *part,
                                  int sum) {
    return part->sum + (size_t)sum * run->length;
}

/* supervised_result.c, when all sums are complete. */
hs_status hs_attribute_figures(const hs_attribute_run *run, const hs_attribute_part *part,
                               hs_attribute_report *report, hs_error *err);
hs_status hs_attribute_result(const hs_attribute_run *run, const hs_attribute_report *reports,
                              hs_directions **out, hs_error *err);
/* Those of the curve of the one attribute, named by their numbers of samples. */
hs_status hs_attribute_curve(const hs_attribute_run *run, hs_directions **out, hs_error *err);

#endif
