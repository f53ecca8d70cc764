/* Any bytes as a table of labels, as scores and as pairs: what is accepted has
 * rows, and numbers or nothing in them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/labels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int pairs = 0; pairs < 2; pairs++) {
        hs_labels *labels = NULL;
        hs_labels_view view;
        hs_error err;
        if (hs_labels_parse("fuzz.csv", data, size, pairs, NULL, &labels, &err) != HS_OK)
            continue;
        hs_labels_view_get(labels, &view);
        if (view.rows < 1 || view.bad < 0 || (pairs ? !view.partners : view.attributes < 1))
            abort();
        for (int i = 0; i < view.rows; i++)
            if (!*view.items[i] || view.seeds[i] < -1 || (pairs && !strlen(view.partners[i])))
                abort();
        for (int i = 0; i < view.rows * view.attributes; i++)
            if (isinf(view.values[i]))
                abort();
        hs_labels_free(labels);
    }
    return 0;
}
