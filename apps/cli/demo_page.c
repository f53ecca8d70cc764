/* The page of `hspace demo`: one HTML file with the pictures inside it, so
 * that it can be sent as it is. */
#include "demo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char page_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>hspace demo: directions found in h-space</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --line: #8884; }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;\n"
    "       padding: 0 1rem; }\n"
    "h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }\n"
    "p { max-width: 46rem; }\n"
    "img { width: 100%; height: auto; border: 1px solid var(--line); background: #fff; }\n"
    "figure { margin: 0; } figcaption { font-size: .9rem; margin-top: .3rem; }\n"
    ".pair { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(22rem, "
    "1fr)); }\n"
    ".overview { max-width: 46rem; }\n"
    "table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right;\n"
    "        border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }\n"
    "pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); }\n"
    "</style>\n";

/* Text as HTML: the model's name comes from outside. */
static void cli_put_escaped(FILE *file, const char *text) {
    for (; *text; text++)
        switch (*text) {
        case '<': fputs("&lt;", file); break;
        case '>': fputs("&gt;", file); break;
        case '&': fputs("&amp;", file); break;
        case '"': fputs("&quot;", file); break;
        default: fputc(*text, file);
        }
}

static void cli_put_base64(FILE *out, FILE *in) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char bytes[3];
    size_t n;
    while ((n = fread(bytes, 1, 3, in)) > 0) {
        unsigned word = (unsigned)bytes[0] << 16 | (n > 1 ? (unsigned)bytes[1] << 8 : 0) |
                        (n > 2 ? bytes[2] : 0);
        fputc(digits[word >> 18], out);
        fputc(digits[word >> 12 & 63], out);
        fputc(n > 1 ? digits[word >> 6 & 63] : '=', out);
        fputc(n > 2 ? digits[word & 63] : '=', out);
    }
}

static hs_status cli_put_image(FILE *out, const cli_demo_result *result, const char *name,
                               const char *description, hs_error *err) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", result->folder, name) < 0)
        return cli_fail_memory(err);
    FILE *in = fopen(path, "rb");
    hs_status status = HS_OK;
    if (!in) {
        status = cli_fail(err, HS_ERROR_IO, "%s: %s", path, strerror(errno));
    } else {
        fprintf(out, "<img alt=\"%s\" src=\"data:image/png;base64,", description);
        cli_put_base64(out, in);
        fputs("\">", out);
        if (ferror(in))
            status = cli_fail(err, HS_ERROR_IO, "%s: could not be read", path);
        fclose(in);
    }
    free(path);
    return status;
}

static void cli_put_introduction(FILE *file, const cli_demo_result *result) {
    static const char *const positions[] = {
        "the input of the mid block", "the inside of the mid block", "the output of the mid block"};
    const int *h = result->info->h[result->h_space];
    fputs(page_head, file);
    fputs("<h1>Directions that hspace found</h1>\n<p>The model, <b>", file);
    cli_put_escaped(file, result->info->name);
    fprintf(file,
            "</b>, is a diffusion model that was trained on unlabelled pictures of %d\u00d7%d "
            "pixels. Nobody told it, or hspace, what a smile or a beard is. hspace drew %d samples "
            "of %d steps (eta %g), looked at the activations at %s (h-space, %d\u00d7%d\u00d7%d) "
            "and took their principal components at every step. Moving h along one of them while "
            "an image is made changes the image in a way that has a meaning.</p>\n",
            result->info->image[1], result->info->image[2], result->samples, result->steps,
            result->eta, positions[result->h_space], h[0], h[1], h[2]);
    fputs("<p>How to read the pictures: the middle column is the image as the model makes it; to "
          "the left and to the right the direction is subtracted and added, by up to three "
          "standard deviations (\u03c3) of what natural samples do. Random directions of the same "
          "norm at every step are the baseline: they should change little, or nothing that has a "
          "name.</p>\n",
          file);
}

static hs_status cli_put_overview(FILE *file, const cli_demo_result *result, hs_error *err) {
    fputs("<h2>Components and random directions, side by side on one sample</h2>\n"
          "<figure class=\"overview\">",
          file);
    hs_status status = cli_put_image(file, result, result->overview,
                                     "Grid: principal components and random directions", err);
    fputs("</figure>\n<table><tr><th>direction</th><th>variance explained</th>"
          "<th>mean change of a pixel at \u00b13\u03c3 (of 255)</th>"
          "<th>random direction of equal norm</th></tr>\n",
          file);
    for (int i = 0; i < result->part_count; i++) {
        const cli_demo_part *part = &result->parts[i];
        fprintf(file, "<tr><td>component %d</td><td>", part->index);
        if (part->explained >= 0)
            fprintf(file, "%.1f%%", 100 * part->explained);
        else
            fputs("\u2013", file);
        fprintf(file, "</td><td>%.1f</td><td>%.1f</td></tr>\n", part->change, part->random_change);
    }
    fputs("</table>\n", file);
    return status;
}

static hs_status cli_put_part(FILE *file, const cli_demo_result *result, const cli_demo_part *part,
                              hs_error *err) {
    fprintf(file, "<h2>Component %d</h2>\n<div class=\"pair\">\n<figure>", part->index);
    hs_status status =
        cli_put_image(file, result, part->grid, "Samples moved along the component", err);
    fputs("<figcaption>the component, on three samples</figcaption></figure>\n<figure>", file);
    if (status == HS_OK)
        status = cli_put_image(file, result, part->random,
                               "The same samples moved along a random direction", err);
    fputs("<figcaption>a random direction of the same norm, on the same samples</figcaption>"
          "</figure>\n</div>\n",
          file);
    return status;
}

static void cli_put_ending(FILE *file, const cli_demo_result *result) {
    fputs("<h2>What to type next</h2>\n<pre>hspace edit", file);
    cli_put_escaped(file, result->model);
    fputs(" --seed 5-8 --eta 1 -d ", file);
    cli_put_escaped(file, result->folder);
    fprintf(file, "/%s#0=-3..3:7 -o edit.png\nhspace edit --replay ", result->directions);
    cli_put_escaped(file, result->folder);
    fprintf(file, "/%s -o again.png\nhspace sample", result->recipe);
    cli_put_escaped(file, result->model);
    fputs(" --seed 0-15 -o samples.png\n"
          "hspace pca -m FOLDER -n 1000 -k 20 --preview preview.png -o mine.safetensors</pre>\n"
          "<p>The last line does the same for any diffusers DDPM folder. The method is that of "
          "Haas et al., <cite>Discovering Interpretable Directions in the Semantic Latent Space "
          "of Diffusion Models</cite>, FG 2024 (arXiv 2303.11073).</p>\n</html>\n",
          file);
}

/* The whole page into `file`, which is closed. */
static hs_status cli_put_page(FILE *file, const cli_demo_result *result, const char *path,
                              hs_error *err) {
    cli_put_introduction(file, result);
    hs_status status = cli_put_overview(file, result, err);
    for (int i = 0; i < result->part_count && status == HS_OK; i++)
        status = cli_put_part(file, result, &result->parts[i], err);
    cli_put_ending(file, result);
    errno = 0;
    bool failed = fflush(file) != 0 || fsync(fileno(file)) != 0 || ferror(file);
    if ((fclose(file) != 0 || failed) && status == HS_OK)
        status = cli_fail(err, HS_ERROR_IO, "%s: could not be written: %s", path,
                          strerror(errno ? errno : ENOSPC));
    return status;
}

hs_status cli_write_demo_page(const cli_demo_result *result, hs_error *err) {
    char *path = NULL, *temporary = NULL;
    if (asprintf(&path, "%s/index.html", result->folder) < 0 ||
        asprintf(&temporary, "%s.%ld", path, (long)getpid()) < 0) {
        free(path);
        return cli_fail_memory(err);
    }
    FILE *file = fopen(temporary, "w");
    hs_status status = file ? cli_put_page(file, result, path, err)
                            : cli_fail(err, HS_ERROR_IO, "%s: %s", path, strerror(errno));
    if (status == HS_OK && rename(temporary, path) != 0)
        status = cli_fail(err, HS_ERROR_IO, "%s: %s", path, strerror(errno));
    if (status != HS_OK)
        unlink(temporary);
    free(temporary);
    free(path);
    return status;
}
