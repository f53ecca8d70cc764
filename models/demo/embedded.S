/*
 * The files of the embedded models and of their classifiers, put into the object as
 * they are. Read-only data, aligned to a cache line so that tensors may be read in
 * place. The assembler finds the paths through the include folder that CMakeLists.txt
 * gives; CMake knows them too (OBJECT_DEPENDS), so a changed file rebuilds this one.
 */
        .macro  blob symbol, path
        .balign 64
        .globl  \symbol
        .hidden \symbol
        .type   \symbol, %object
\symbol:
        .incbin "\path"
        .size   \symbol, . - \symbol
        .globl  \symbol\()_end
        .hidden \symbol\()_end
\symbol\()_end:
        .byte   0
        .endm

        .macro  model name
        blob    hs_\name\()_index, "\name/model_index.json"
        blob    hs_\name\()_scheduler, "\name/scheduler/scheduler_config.json"
        blob    hs_\name\()_unet, "\name/unet/config.json"
        blob    hs_\name\()_weights, "\name/unet/diffusion_pytorch_model.safetensors"
        blob    hs_\name\()_classifier, "\name-attributes/config.json"
        blob    hs_\name\()_classifier_weights, "\name-attributes/model.safetensors"
        blob    hs_\name\()_processor, "\name-attributes/preprocessor_config.json"
        .endm

        .section .rodata, "a"
        model   avatars64
        model   avatars32

        .section .note.GNU-stack, "", %progbits
