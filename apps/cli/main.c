/* The program: picks the subcommand. Each one has a file of its own. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

static const cli_command commands[] = {
    {"info", "What a model is, and what one image costs", cli_info},
    {"sample", "Make images from seeds", cli_sample},
    {"pca", "Find directions: principal components of h-space", cli_pca},
    {"jacobian", "Find directions of one sample, of a region if wanted", cli_jacobian},
    {"annotate", "Score samples with a classifier, into an index", cli_annotate},
    {"attribute", "Find the direction of an attribute from labels", cli_attribute},
    {"disentangle", "Project other directions out of one", cli_disentangle},
    {"evaluate", "Measure what directions change, and what else", cli_evaluate},
    {"edit", "Make images with directions applied", cli_edit},
    {"invert", "Turn real images into latents", cli_invert},
    {"eps", "One U-Net pass on given tensors", cli_eps},
    {"demo", "Find and show directions of the embedded model", cli_demo},
};

/* Names that are reserved for what later versions bring. */
static const char *const later[] = {"evaluate", "pull", "serve"};

static void cli_print_help(FILE *stream) {
    fputs("Usage: hspace COMMAND [OPTION...]\n"
          "Interpretable directions in the h-space of pretrained diffusion models.\n\n"
          "Commands:\n",
          stream);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(stream, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fputs("\n  hspace COMMAND --help   the options of a command\n"
          "  hspace --version        the version\n\n"
          "Without -m MODEL an embedded model is used; `hspace demo` is a good start.\n",
          stream);
}

static void cli_print_version(FILE *stream, struct argp_state *state) {
    fprintf(stream, "hspace %s\n", hs_version());
}

int main(int argc, char **argv) {
    cli_guard_streams();
    argp_program_version_hook = cli_print_version;
    argp_err_exit_status = CLI_USAGE;
    if (argc < 2) {
        cli_print_help(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "-?") ||
        !strcmp(name, "help")) {
        cli_print_help(stdout);
        return 0;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        cli_print_version(stdout, NULL);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(name, commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (!strcmp(name, later[i]))
            cli_usage_error("'%s' is not in this version (%s); hspace --help lists what is", name,
                            hs_version());
    if (*name == '-')
        cli_usage_error("options follow the command: hspace COMMAND %.60s ...", name);
    cli_usage_error("there is no command '%.60s'; hspace --help lists them", name);
}
