# The loops of kernels/ are compiled once for each instruction set and chosen at
# run time; -ffp-contract=fast lets them use fused multiply-add.
set(KERNELS backends/kernels/conv_fixed.c backends/kernels/elementwise.c backends/kernels/matrix.c backends/kernels/narrow.c
  backends/kernels/taps.c backends/kernels/tangent.c backends/kernels/table.c backends/kernels/winograd.c
  backends/kernels/winograd_fixed.c backends/kernels/winograd_late.c backends/kernels/winograd_load.c backends/kernels/winograd_product.c backends/kernels/winograd_transform.c
  backends/kernels/winograd_weights.c)
function(hs_kernels isa)
  add_library(hs_kernels_${isa} OBJECT ${KERNELS})
  target_include_directories(hs_kernels_${isa} PRIVATE . ../include)
  target_compile_definitions(hs_kernels_${isa} PRIVATE HS_ISA=${isa})
  target_compile_options(hs_kernels_${isa} PRIVATE -Wno-psabi -ffp-contract=fast ${ARGN})
  set(KERNEL_OBJECTS ${KERNEL_OBJECTS} $<TARGET_OBJECTS:hs_kernels_${isa}> PARENT_SCOPE)
endfunction()
hs_kernels(generic)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(AVX512 -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  hs_kernels(avx2 -mavx2 -mfma)
  hs_kernels(avxvnni -mavx2 -mfma -mavxvnni)
  hs_kernels(avx512 ${AVX512})
  hs_kernels(avx512vnni ${AVX512} -mavx512vnni)
  hs_kernels(avx512bf16 ${AVX512} -mavx512bf16)
  hs_kernels(amx ${AVX512} -mavx512bf16 -mamx-tile -mamx-bf16)
endif()

set(SOURCES
  backends/kernels/select.c
  backends/onednn/attention.c
  backends/onednn/attention_tangent.c
  backends/onednn/conv2d.c
  backends/onednn/conv_fixed.c
  backends/onednn/conv_table.c
  backends/onednn/elementwise.c
  backends/onednn/execute.c
  backends/onednn/fuse.c
  backends/onednn/group_norm.c
  backends/onednn/linear.c
  backends/onednn/memory.c
  backends/onednn/narrow.c
  backends/onednn/norm_tangent.c
  backends/onednn/plan.c
  backends/onednn/pool.c
  backends/onednn/profile.c
  backends/onednn/resample.c
  backends/onednn/small.c
  backends/onednn/transfer.c
  backends/onednn/walk.c
  backends/onednn/weights.c
  backends/onednn/winograd.c
  backends/ref/ref.c
)
