/*
 * The model that travels inside the program: avatars32, a small DDPM of
 * cartoon portraits (its card is avatars32/README.md). A library of its own,
 * libhspace_demo, so that libhspace itself stays small.
 */
#ifndef HSPACE_DEMO_H
#define HSPACE_DEMO_H

#include "hspace.h"

/* Open the embedded model, as hs_model_open does for one on disk. The caller
 * frees *out with hs_model_free. */
hs_status hs_demo_model_open(const hs_monitor *monitor, hs_model **out, hs_error *err);

#endif
