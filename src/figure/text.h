/*
 * The size of text before it is drawn, from the advance widths of DejaVu Sans,
 * so that the layout of a figure does not depend on which fonts a machine has.
 */
#ifndef HS_FIGURE_TEXT_H
#define HS_FIGURE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HS_TEXT_LINES 4      /* most lines of one label */
#define HS_TEXT_LEADING 1.25 /* distance of baselines, in font sizes */

/* The next character of [*text, end), which is not empty; U+FFFD for bytes that
 * are not UTF-8 and for characters that XML 1.0 forbids. Advances *text. */
uint32_t hs_utf8_next(const char **text, const char *end);

/* Width of one line at a font size of 1. */
double hs_text_width(const char *text, size_t length);

typedef struct hs_text_line {
    const char *start; /* inside the caller's string */
    size_t length;
    bool cut; /* an ellipsis follows */
} hs_text_line;

typedef struct hs_text_block {
    int count;
    hs_text_line lines[HS_TEXT_LINES];
    double size;          /* font size */
    double width, height; /* of all lines */
} hs_text_block;

/*
 * Break `text` (NULL: an empty block) at spaces, newlines, underscores
 * and slashes into at most max_lines lines of at most max_width; what does not
 * fit is cut and marked by an ellipsis. False if anything was cut.
 */
bool hs_text_layout(const char *text, double size, double max_width, int max_lines,
                    hs_text_block *out);
/* The largest font size in [min_size, size], in half steps, at which all labels
 * (entries may be NULL) fit; min_size if none does. */
double hs_text_fit(const char *const *labels, int count, double size, double min_size,
                   double max_width, int max_lines);

#endif
