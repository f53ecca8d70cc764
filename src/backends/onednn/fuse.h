/* See fuse.c. */
#ifndef HS_BACKENDS_ONEDNN_FUSE_H
#define HS_BACKENDS_ONEDNN_FUSE_H

#include "backends/onednn/onednn.h"

/* Fill in uses, needed, absorbed, fused and virtual_parts. */
void hs_od_fuse(hs_od_planner *p);

#endif
