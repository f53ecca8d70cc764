/* See number.h. */
#include "figure/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HS_MINUS "\xE2\x88\x92"

static const int64_t hs_number_powers[] = {1,      10,      100,      1000,      10000,
                                           100000, 1000000, 10000000, 100000000, 1000000000};

static int hs_number_clamp(int decimals) {
    return decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
}

/* The integer arithmetic keeps the decimal point of the locale out. */
static void hs_number_digits(char out[HS_NUMBER_SIZE], const char *sign, int64_t scaled,
                             int decimals) {
    int64_t power = hs_number_powers[decimals];
    if (decimals == 0)
        snprintf(out, HS_NUMBER_SIZE, "%s%" PRId64, sign, scaled);
    else
        snprintf(out, HS_NUMBER_SIZE, "%s%" PRId64 ".%0*" PRId64, sign, scaled / power, decimals,
                 scaled % power);
}

void hs_number_plain(char out[HS_NUMBER_SIZE], double value, int decimals) {
    decimals = hs_number_clamp(decimals);
    int64_t scaled = llround(value * (double)hs_number_powers[decimals]);
    while (decimals > 0 && scaled % 10 == 0) {
        scaled /= 10;
        decimals--;
    }
    hs_number_digits(out, scaled < 0 ? "-" : "", scaled < 0 ? -scaled : scaled, decimals);
}

void hs_number_exponent(char out[HS_NUMBER_SIZE], double value) {
    int exponent = value == 0 ? 0 : (int)floor(log10(fabs(value)));
    /* In two factors: 10^-exponent alone overflows for the smallest values. */
    double mantissa = value / pow(10, exponent / 2) / pow(10, exponent - exponent / 2);
    if (fabs(mantissa) >= 9.995) {
        mantissa /= 10;
        exponent++;
    }
    char digits[HS_NUMBER_SIZE];
    hs_number_plain(digits, fabs(mantissa), 2);
    char shown[16]; /* at most 4 digits: 1..9.99 */
    snprintf(shown, sizeof shown, "%.*s", (int)sizeof shown - 1, digits);
    snprintf(out, HS_NUMBER_SIZE, "%s%se%s%d", value < 0 ? HS_MINUS : "", shown,
             exponent < 0 ? HS_MINUS : "", exponent < 0 ? -exponent : exponent);
}

void hs_number_fixed(char out[HS_NUMBER_SIZE], double value, int decimals, int plus) {
    decimals = hs_number_clamp(decimals);
    if (!(fabs(value) <= 1e9)) {
        hs_number_exponent(out, value);
        return;
    }
    int64_t scaled = llround(value * (double)hs_number_powers[decimals]);
    const char *sign = scaled < 0 ? HS_MINUS : scaled > 0 && plus ? "+" : "";
    hs_number_digits(out, sign, scaled < 0 ? -scaled : scaled, decimals);
}
