/* Records of a text table, one a line: cells between separators, quotes as in
 * RFC 4180 but within their line, LF or CRLF, a BOM passed over. */
#ifndef HS_IO_CSV_H
#define HS_IO_CSV_H

#include "base/error.h"

typedef struct hs_csv {
    char *at, *end; /* what is not read yet; a NUL stands at `end` */
    char separator; /* ',', ';', '\t', or ' ' for runs of blanks */
    int line;       /* of the record, from 1 */
    int count;      /* its cells; counted on beyond `capacity` */
    char **cell;    /* [capacity] */
    int capacity;
    const char *broken; /* why the record cannot be used, or NULL */
} hs_csv;

/* Go to the next record that is not blank; its cells are cut out of the text in
 * place. False at the end. */
bool hs_csv_next(hs_csv *csv);
/* ',', or ';' or a tab where the first line has those and no comma. */
char hs_csv_separator(const char *text);

#endif
