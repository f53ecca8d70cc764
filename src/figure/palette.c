/* See palette.h. Colour spaces: CIE 15 (L*a*b*, white D65), IEC 61966-2-1 (sRGB). */
#include "figure/palette.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const double hs_white[3] = {0.95047, 1.0, 1.08883};

static double hs_lab_inverse(double f) {
    return f > 6.0 / 29 ? f * f * f : 3 * (6.0 / 29) * (6.0 / 29) * (f - 4.0 / 29);
}

static double hs_srgb_encode(double linear) {
    return linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;
}

/* L*, chroma and hue (degrees) to linear RGB; false outside of sRGB. */
static bool hs_lch_to_linear(double lightness, double chroma, double hue, double rgb[3]) {
    double angle = hue * 3.14159265358979323846 / 180;
    double fy = (lightness + 16) / 116;
    double x = hs_white[0] * hs_lab_inverse(fy + chroma * cos(angle) / 500);
    double y = hs_white[1] * hs_lab_inverse(fy);
    double z = hs_white[2] * hs_lab_inverse(fy - chroma * sin(angle) / 200);
    rgb[0] = 3.2404542 * x - 1.5371385 * y - 0.4985314 * z;
    rgb[1] = -0.9692660 * x + 1.8760108 * y + 0.0415560 * z;
    rgb[2] = 0.0556434 * x - 0.2040259 * y + 1.0572252 * z;
    bool inside = true;
    for (int i = 0; i < 3; i++)
        inside = inside && rgb[i] >= -1e-6 && rgb[i] <= 1 + 1e-6;
    return inside;
}

/* The colour, or, where the screen has no such chroma, the nearest that it has:
 * lightness and hue are kept. */
static void hs_lch(double lightness, double chroma, double hue, uint8_t rgb[3]) {
    double linear[3], low = 0, high = chroma;
    if (!hs_lch_to_linear(lightness, chroma, hue, linear)) {
        for (int i = 0; i < 24; i++) {
            double middle = 0.5 * (low + high);
            if (hs_lch_to_linear(lightness, middle, hue, linear))
                low = middle;
            else
                high = middle;
        }
        hs_lch_to_linear(lightness, low, hue, linear);
    }
    for (int i = 0; i < 3; i++) {
        double value = hs_srgb_encode(fmin(fmax(linear[i], 0), 1));
        rgb[i] = (uint8_t)floor(255 * value + 0.5);
    }
}

static double hs_unit(double t) {
    return t > 0 ? (t < 1 ? t : 1) : 0;
}

/* The chromas of both palettes stay inside of sRGB for every t: where chroma is
 * reduced to fit, a kink shows that is not in the data. */
void hs_palette_absolute(double t, uint8_t rgb[3]) {
    t = hs_unit(t);
    /* Hue from 285 (blue) through 360 (red-purple) to 465 = 105 (yellow). */
    double chroma = 18 + 12 * t + 42 * sin(3.14159265358979323846 * pow(t, 0.8));
    hs_lch(6 + 90 * t, chroma, 285 + 180 * t, rgb);
}

void hs_palette_signed(double t, uint8_t rgb[3]) {
    double size = hs_unit(fabs(t));
    double blue = 41 * tanh(1.9 * size) / tanh(1.9), red = 64 * tanh(0.9 * size) / tanh(0.9);
    hs_lch(100 - 62 * size, t < 0 ? blue : red, t < 0 ? 275 : 30, rgb);
}

void hs_palette_line(int i, int n, uint8_t rgb[3]) {
    static const double distinct[6][3] = {
        {42, 52, 272}, {58, 74, 50}, {56, 48, 165}, {46, 58, 335}, {70, 70, 82}, {30, 10, 270},
    };
    if (n <= 6) {
        const double *color = distinct[(i % 6 + 6) % 6];
        hs_lch(color[0], color[1], color[2], rgb);
    } else {
        hs_palette_absolute(0.12 + 0.7 * i / (n - 1), rgb);
    }
}

double hs_palette_lightness(const uint8_t rgb[3]) {
    static const double weight[3] = {0.2126729, 0.7151522, 0.0721750};
    double y = 0;
    for (int i = 0; i < 3; i++) {
        double value = rgb[i] / 255.0;
        y += weight[i] * (value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4));
    }
    return y > 216.0 / 24389 ? 116 * cbrt(y) - 16 : 24389.0 / 27 * y;
}

void hs_palette_hex(const uint8_t rgb[3], char out[8]) {
    snprintf(out, 8, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
}
