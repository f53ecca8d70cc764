/*
 * A checkpoint of the size of google/ddpm-ema-celebahq-256 with random
 * weights: 113 673 219 parameters in the diffusers layout. The values are
 * scaled by fan-in, as an untrained network's, so that activations stay near
 * one and errors mean something.
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/tensor_set.h"

#define LEVELS 6
#define MAX_TENSORS 1000
#define TIME 512

static const int channels[LEVELS] = {128, 128, 256, 256, 512, 512};

typedef struct writer {
    hs_tensor tensors[MAX_TENSORS];
    int count;
    hs_arena arena;
    uint64_t state;
    bool failed;
} writer;

static void add(writer *w, const char *name, const char *part, int rank, const int *dim,
                float scale, float offset) {
    hs_tensor *t = &w->tensors[w->count];
    char full[200];
    *t = (hs_tensor){.dtype = HS_F32, .rank = rank};
    for (int i = 0; i < rank; i++)
        t->dim[i] = dim[i];
    int64_t count = hs_tensor_count(t);
    snprintf(full, sizeof full, "%s.%s", name, part);
    float *data = hs_arena_alloc(&w->arena, (size_t)count, sizeof *data);
    t->name = hs_arena_strdup(&w->arena, full);
    if (!data || !t->name || ++w->count == MAX_TENSORS) {
        w->failed = true;
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        w->state = w->state * 6364136223846793005u + 1442695040888963407u;
        data[i] = offset + scale * ((float)(w->state >> 40) * 0x1p-23f - 1.0f);
    }
    t->data = data;
}

static void conv(writer *w, const char *name, int in, int out, int k) {
    float scale = sqrtf(3.0f / (float)(in * k * k));
    add(w, name, "weight", 4, (int[]){out, in, k, k}, scale, 0);
    add(w, name, "bias", 1, &out, 0.1f, 0);
}

static void linear(writer *w, const char *name, int in, int out) {
    add(w, name, "weight", 2, (int[]){out, in}, sqrtf(3.0f / (float)in), 0);
    add(w, name, "bias", 1, &out, 0.1f, 0);
}

static void norm(writer *w, const char *name, int c) {
    add(w, name, "weight", 1, &c, 0.2f, 1);
    add(w, name, "bias", 1, &c, 0.2f, 0);
}

static void block(writer *w, const char *prefix, int index, int in, int out) {
    char name[5][160];
    static const char *const parts[] = {"norm1", "conv1", "time_emb_proj", "norm2", "conv2"};
    for (int i = 0; i < 5; i++)
        snprintf(name[i], sizeof name[i], "%s.resnets.%d.%s", prefix, index, parts[i]);
    norm(w, name[0], in);
    conv(w, name[1], in, out, 3);
    linear(w, name[2], TIME, out);
    norm(w, name[3], out);
    conv(w, name[4], out, out, 3);
    if (in != out) {
        snprintf(name[0], sizeof name[0], "%s.resnets.%d.conv_shortcut", prefix, index);
        conv(w, name[0], in, out, 1);
    }
}

static void attention(writer *w, const char *prefix, int index, int c) {
    char name[160];
    static const char *const parts[] = {"to_q", "to_k", "to_v", "to_out.0"};
    snprintf(name, sizeof name, "%s.attentions.%d.group_norm", prefix, index);
    norm(w, name, c);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s.attentions.%d.%s", prefix, index, parts[i]);
        linear(w, name, c, c);
    }
}

static void network(writer *w) {
    char prefix[80], name[160];
    linear(w, "time_embedding.linear_1", channels[0], TIME);
    linear(w, "time_embedding.linear_2", TIME, TIME);
    conv(w, "conv_in", 3, channels[0], 3);
    int skips[LEVELS * 3 + 1] = {channels[0]}, count = 1, c = channels[0];
    for (int level = 0; level < LEVELS; level++) {
        snprintf(prefix, sizeof prefix, "down_blocks.%d", level);
        for (int i = 0; i < 2; i++) {
            block(w, prefix, i, c, channels[level]);
            skips[count++] = c = channels[level];
            if (level == 4)
                attention(w, prefix, i, c);
        }
        if (level < LEVELS - 1) {
            snprintf(name, sizeof name, "%s.downsamplers.0.conv", prefix);
            conv(w, name, c, c, 3);
            skips[count++] = c;
        }
    }
    block(w, "mid_block", 0, c, c);
    attention(w, "mid_block", 0, c);
    block(w, "mid_block", 1, c, c);
    for (int i = 0; i < LEVELS; i++) {
        int out = channels[LEVELS - 1 - i];
        snprintf(prefix, sizeof prefix, "up_blocks.%d", i);
        for (int j = 0; j < 3; j++) {
            block(w, prefix, j, c + skips[--count], out);
            c = out;
            if (i == 1)
                attention(w, prefix, j, c);
        }
        if (i < LEVELS - 1) {
            snprintf(name, sizeof name, "%s.upsamplers.0.conv", prefix);
            conv(w, name, c, c, 3);
        }
    }
    norm(w, "conv_norm_out", c);
    conv(w, "conv_out", c, 3, 3);
}

static const char config[] =
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": %d, \"in_channels\": 3, "
    "\"out_channels\": 3, \"block_out_channels\": [128, 128, 256, 256, 512, 512], "
    "\"layers_per_block\": 2, \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\", "
    "\"DownBlock2D\", \"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"], "
    "\"up_block_types\": [\"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", "
    "\"UpBlock2D\", \"UpBlock2D\"], \"downsample_padding\": 0, \"flip_sin_to_cos\": false, "
    "\"freq_shift\": 1, \"attention_head_dim\": null, \"norm_eps\": 1e-06, "
    "\"norm_num_groups\": 32, \"act_fn\": \"silu\", \"mid_block_scale_factor\": 1, "
    "\"center_input_sample\": false, \"time_embedding_type\": \"positional\"}\n";

int bench_random_model(const char *folder, int size) {
    char path[4096], text[2000];
    hs_error err;
    writer *w = hs_calloc(1, sizeof *w);
    if (!w || (mkdir(folder, 0777) && access(folder, W_OK)))
        return fprintf(stderr, "hs_bench: %s: cannot make the folder\n", folder), 1;
    network(w);
    int length = snprintf(text, sizeof text, config, size);
    snprintf(path, sizeof path, "%s/config.json", folder);
    hs_status status =
        w->failed ? hs_fail_memory(&err, 0) : hs_file_write(path, text, (size_t)length, &err);
    snprintf(path, sizeof path, "%s/diffusion_pytorch_model.safetensors", folder);
    if (status == HS_OK)
        status = hs_safetensors_write(path, w->tensors, w->count, NULL, &err);
    if (status != HS_OK)
        fprintf(stderr, "hs_bench: %s\n", err.message);
    hs_arena_free(&w->arena);
    free(w);
    return status != HS_OK;
}
