/*
 * The model that travels inside the program: avatars32, a small DDPM of
 * cartoon portraits (its card is avatars32/README.md), and a classifier of such
 * portraits. A library of its own, libhspace_demo, so that libhspace itself stays
 * small.
 */
#ifndef HSPACE_DEMO_H
#define HSPACE_DEMO_H

#include "hspace.h"

/* Open the embedded model, as hs_model_open does for one on disk. The caller
 * frees *out with hs_model_free. */
hs_status hs_demo_model_open(const hs_monitor *monitor, hs_model **out, hs_error *err);

/* The classifier beside it, avatars32-attributes: 18 attributes of such
 * portraits, each from 0 to 1. As hs_classifier_open; `options` may be NULL. */
hs_status hs_demo_classifier_open(const hs_classifier_options *options, const hs_monitor *monitor,
                                  hs_classifier **out, hs_error *err);

#endif
