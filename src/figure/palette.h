/*
 * Colours of our own, built in CIE 1976 L*C*h: lightness changes evenly, so a
 * map keeps its order in gray print and for any eye, and the two halves of the
 * signed palette weigh the same.
 */
#ifndef HS_FIGURE_PALETTE_H
#define HS_FIGURE_PALETTE_H

#include <stdint.h>

/* t in [0, 1], clamped: from dark blue over purple and orange to light yellow. */
void hs_palette_absolute(double t, uint8_t rgb[3]);
/* t in [-1, 1], clamped: blue, white at 0, red. */
void hs_palette_signed(double t, uint8_t rgb[3]);
/* Colour i of n lines: six distinct ones, beyond that an even walk. */
void hs_palette_line(int i, int n, uint8_t rgb[3]);

/* CIE L* (0 to 100) of an sRGB colour. */
double hs_palette_lightness(const uint8_t rgb[3]);
/* "#rrggbb" */
void hs_palette_hex(const uint8_t rgb[3], char out[8]);

#endif
