/* See text.h. */
#include "figure/text.h"

#include <string.h>

uint32_t hs_utf8_next(const char **text, const char *end) {
    const unsigned char *p = (const unsigned char *)*text;
    size_t left = (size_t)(end - *text);
    uint32_t code = p[0];
    int more = code < 0x80                   ? 0
               : code >= 0xC2 && code < 0xE0 ? 1
               : code >= 0xE0 && code < 0xF0 ? 2
               : code >= 0xF0 && code < 0xF5 ? 3
                                             : -1;
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    if (more > 0)
        code &= 0x3Fu >> more;
    for (int i = 1; i <= more; i++) {
        if ((size_t)i >= left || (p[i] & 0xC0) != 0x80) {
            more = -1;
            break;
        }
        code = code << 6 | (p[i] & 0x3F);
    }
    bool valid = more >= 0 && code >= smallest[more] && code <= 0x10FFFF &&
                 (code < 0xD800 || code > 0xDFFF) && (code & 0xFFFE) != 0xFFFE &&
                 (code >= 0x20 || code == '\t' || code == '\n' || code == '\r');
    /* After a bad byte the reading goes on at the next one. */
    *text += more >= 0 ? more + 1 : 1;
    return valid ? code : 0xFFFD;
}

/* Advance widths of U+0020 ... U+007E in thousandths of the font size. */
static const short hs_text_ascii[] = {
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361,  318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635,  611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352,  635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592,  525, 636, 337, 636, 838,
};

static double hs_text_advance(uint32_t code) {
    if (code < 0x20)
        return 0.318; /* drawn as a space */
    if (code < 0x7F)
        return hs_text_ascii[code - 0x20] / 1000.0;
    if (code >= 0x300 && code < 0x370)
        return 0; /* combining marks */
    if (code == 0xB7)
        return 0.318;
    if (code >= 0x2010 && code < 0x2070)
        return code == 0x2014 || code == 0x2026 ? 1.0 : 0.5; /* dashes, quotes, ellipsis */
    if (code == 0xB1 || code == 0xD7 || (code >= 0x2190 && code < 0x2300))
        return 0.838; /* arrows and operators, the minus sign among them */
    if (code >= 0x1100)
        return 1.0; /* CJK, Hangul, symbols: one em or a little less */
    return 0.65;    /* Latin with accents, Greek, Cyrillic */
}

double hs_text_width(const char *text, size_t length) {
    double width = 0;
    for (const char *end = text + length; text < end;)
        width += hs_text_advance(hs_utf8_next(&text, end));
    return width;
}

/* Where the line that starts at `text` ends: the last break before it gets
 * wider than `room`, or, if its first word is wider, the end of that word. A
 * break is a space or newline, or the place after an underscore or slash. */
static const char *hs_text_break(const char *text, double room) {
    const char *fits = NULL;
    for (const char *p = text;; p++) {
        bool joint = p > text && (p[-1] == '_' || p[-1] == '/');
        if (*p && *p != ' ' && *p != '\n' && !joint)
            continue;
        if (fits && hs_text_width(text, (size_t)(p - text)) > room)
            return fits;
        fits = p;
        if (!*p || *p == '\n')
            return p;
    }
}

/* Shorten a line to `room`, an ellipsis included. */
static void hs_text_cut(hs_text_line *line, double room) {
    const char *end = line->start + line->length, *p = line->start, *last = p;
    double width = 1.0; /* of the ellipsis */
    while (p < end) {
        width += hs_text_advance(hs_utf8_next(&p, end));
        if (width > room)
            break;
        last = p;
    }
    while (last > line->start && last[-1] == ' ')
        last--;
    line->length = (size_t)(last - line->start);
    line->cut = true;
}

bool hs_text_layout(const char *text, double size, double max_width, int max_lines,
                    hs_text_block *out) {
    bool fits = true;
    double room = max_width / size;
    if (max_lines > HS_TEXT_LINES)
        max_lines = HS_TEXT_LINES;
    *out = (hs_text_block){.size = size};
    while (text && *text && out->count < max_lines) {
        const char *end = hs_text_break(text, room);
        hs_text_line *line = &out->lines[out->count++];
        *line = (hs_text_line){.start = text, .length = (size_t)(end - text)};
        const char *next = *end == ' ' || *end == '\n' ? end + 1 : end;
        bool lost = *next && out->count == max_lines;
        if (lost)
            line->length = strlen(text);
        if (lost || hs_text_width(line->start, line->length) > room + 1e-9) {
            hs_text_cut(line, room);
            fits = false;
        }
        double width = size * (hs_text_width(line->start, line->length) + (line->cut ? 1 : 0));
        out->width = width > out->width ? width : out->width;
        text = next;
    }
    out->height = out->count * HS_TEXT_LEADING * size;
    return fits;
}

double hs_text_fit(const char *const *labels, int count, double size, double min_size,
                   double max_width, int max_lines) {
    hs_text_block block;
    for (int i = 0; labels && i < count; i++)
        while (size > min_size && labels[i] &&
               !hs_text_layout(labels[i], size, max_width, max_lines, &block))
            size -= 0.5;
    return size < min_size ? min_size : size;
}
