/*
 * One torch.randn call of `total` values, handed out in pieces: what lets the
 * z of a whole trajectory, drawn as one [T,C,H,W] call, be made step by step.
 */
#ifndef HS_DIFFUSION_NOISE_H
#define HS_DIFFUSION_NOISE_H

#include "base/random.h"

/*
 * Values first ... first+count-1 of the call of `total` values. The pieces are
 * asked for in order, each where the last one ended. `generator` is seeded for
 * the first; between pieces it stands at the block of 16 that the next piece
 * begins in, so a copy of it resumes the call. After the last piece its state
 * is of no further use.
 */
void hs_randn_piece(hs_generator *generator, size_t total, size_t first, size_t count, float *out);

#endif
