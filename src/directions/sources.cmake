# Sources of this room, by name.
set(SOURCES
    directions/align.c directions/assignment.c directions/batched.c directions/disentangle.c
    directions/fit.c directions/generalised.c
    directions/gram_pca.c directions/incremental_pca.c directions/jacobian.c
    directions/jacobian_finish.c directions/jacobian_group.c directions/jacobian_profile.c
    directions/jacobian_resume.c directions/keep_outside.c directions/krylov.c directions/linop_mask.c
    directions/pca.c directions/pca_exact.c directions/pca_finish.c directions/pca_incremental.c
    directions/pca_plan.c directions/pca_resume.c directions/pca_samples.c directions/random.c
    directions/rows.c directions/sides.c directions/subspace.c
    directions/supervised.c directions/supervised_result.c directions/svd.c)
