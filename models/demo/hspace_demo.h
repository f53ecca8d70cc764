/*
 * The models that travel inside the program, small DDPMs of cartoon portraits, each
 * with a classifier of such portraits: avatars64, the default, and avatars32, a
 * quarter of the pixels and of the time (their cards are NAME/README.md). A library of
 * its own, libhspace_demo, so that libhspace itself stays small.
 */
#ifndef HSPACE_DEMO_H
#define HSPACE_DEMO_H

#include "hspace.h"

/* The name of embedded model i, from 0, the default; NULL after the last. */
const char *hs_demo_name(int i);

/* `name` itself where it names an embedded model, else NULL. */
const char *hs_demo_find(const char *name);

/* Open embedded model `name` (NULL: the default), as hs_model_open does for one on
 * disk. The caller frees *out with hs_model_free. */
hs_status hs_demo_model_open(const char *name, const hs_monitor *monitor, hs_model **out,
                             hs_error *err);

/* The classifier beside model `name` (NULL: the default): 18 attributes of such
 * portraits, each from 0 to 1. As hs_classifier_open; `options` may be NULL. */
hs_status hs_demo_classifier_open(const char *name, const hs_classifier_options *options,
                                  const hs_monitor *monitor, hs_classifier **out, hs_error *err);

#endif
