/*
 * The files of avatars32 and of its classifier, avatars32-attributes, put into the object as they are. Read-only data,
 * aligned to a cache line so that tensors may be read in place. The assembler
 * finds the paths through the include folder that CMakeLists.txt gives; CMake
 * knows them too (OBJECT_DEPENDS), so a changed file rebuilds this one.
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

        .section .rodata, "a"
        blob    hs_demo_model_index, "model_index.json"
        blob    hs_demo_scheduler_config, "scheduler/scheduler_config.json"
        blob    hs_demo_unet_config, "unet/config.json"
        blob    hs_demo_unet_weights, "unet/diffusion_pytorch_model.safetensors"

        blob    hs_demo_classifier_config, "avatars32-attributes/config.json"
        blob    hs_demo_classifier_weights, "avatars32-attributes/model.safetensors"
        blob    hs_demo_classifier_processor, "avatars32-attributes/preprocessor_config.json"

        .section .note.GNU-stack, "", %progbits
