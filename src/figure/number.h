/* Numbers as text in figures: never by the locale. */
#ifndef HS_FIGURE_NUMBER_H
#define HS_FIGURE_NUMBER_H

#define HS_NUMBER_SIZE 48

/* Fixed point with at most `decimals` (0 to 9), trailing zeros dropped, "-"
 * as sign: for files. |value| up to 1e9. */
void hs_number_plain(char out[HS_NUMBER_SIZE], double value, int decimals);
/* Exactly `decimals`, U+2212 as minus sign: for readers. `plus` puts a + before
 * positive values. Zero has no sign. Beyond 1e9 in exponent form. */
void hs_number_fixed(char out[HS_NUMBER_SIZE], double value, int decimals, int plus);
/* digits x 10^exponent, as "2e-5" with a U+2212, at most two decimals. */
void hs_number_exponent(char out[HS_NUMBER_SIZE], double value);

#endif
