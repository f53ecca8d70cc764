/* Any bytes as a recipe: what is accepted can be written, and holds what the
 * sampler relies on. */
#include <stdlib.h>

#include "io/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hs_recipe *recipe = NULL;
    hs_error err;
    if (hs_recipe_parse("fuzz.json", data, size, &recipe, &err) != HS_OK)
        return 0;
    if (recipe->steps < 1 || (recipe->eta_count != 1 && recipe->eta_count != recipe->steps))
        abort();
    for (int i = 0; i < recipe->edit_count; i++)
        if (!recipe->edits[i].file || !recipe->edits[i].name)
            abort();
    if (hs_recipe_save("/dev/null", recipe, &err) != HS_OK)
        abort();
    hs_recipe_free(recipe);
    return 0;
}
