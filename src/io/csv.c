/* See csv.h. */
#include "io/csv.h"

#include <string.h>

static bool hs_blank(char c) {
    return c == ' ' || c == '\t';
}

char hs_csv_separator(const char *text) {
    size_t length = strcspn(text, "\n");
    if (memchr(text, ',', length))
        return ',';
    if (memchr(text, ';', length))
        return ';';
    return memchr(text, '\t', length) ? '\t' : ',';
}

static void hs_csv_push(hs_csv *csv, char *cell) {
    if (csv->count < csv->capacity)
        csv->cell[csv->count] = cell;
    csv->count++;
}

/* A cell in quotes, from behind the first one; returns behind the last one. The
 * text moves to the left where two quotes stand for one. */
static char *hs_csv_quoted(hs_csv *csv, char *from, char **end) {
    char *to = from;
    for (; from < *end; from++) {
        if (*from == '"' && from + 1 < *end && from[1] == '"')
            from++;
        else if (*from == '"')
            break;
        *to++ = *from;
    }
    if (from == *end)
        csv->broken = "a quote is not closed on its line";
    else
        from++;
    *end = to;
    return from;
}

/* Cells of the line from..end, of which `end` may be written to. */
static void hs_csv_cut(hs_csv *csv, char *from, char *end) {
    bool more = true;
    while (more) {
        while (from < end && hs_blank(*from) && (csv->separator == ' ' || *from != csv->separator))
            from++;
        char *cell = from, *last;
        if (csv->separator == ' ' && from == end)
            return;
        if (from < end && *from == '"') {
            cell = from + 1;
            last = end;
            from = hs_csv_quoted(csv, cell, &last);
            while (from < end && hs_blank(*from) && *from != csv->separator)
                from++;
            if (from < end && *from != csv->separator)
                csv->broken = "text stands behind a closing quote";
        } else
            last = NULL;
        while (from < end && *from != csv->separator && !(csv->separator == ' ' && hs_blank(*from)))
            from++;
        more = from < end;
        if (!last)
            for (last = from; last > cell && hs_blank(last[-1]); last--)
                ;
        *last = '\0'; /* at most on the separator, which has been seen */
        hs_csv_push(csv, cell);
        from++;
    }
}

bool hs_csv_next(hs_csv *csv) {
    while (csv->at < csv->end) {
        char *from = csv->at, *end = memchr(from, '\n', (size_t)(csv->end - from));
        if (!end)
            end = csv->end;
        csv->at = end < csv->end ? end + 1 : end;
        csv->line++;
        if (end > from && end[-1] == '\r')
            end--;
        char *first = from;
        while (first < end && hs_blank(*first))
            first++;
        if (first == end)
            continue;
        csv->count = 0;
        csv->broken = NULL;
        hs_csv_cut(csv, from, end);
        return true;
    }
    return false;
}
