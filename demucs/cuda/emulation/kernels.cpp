// All kernels, and how Rust launches them. They are one unit with what it calls, so that no linker leaves them out.
#include "../device.cuh"

#if __has_include("../product.cu")
#include "../product.cu"
#endif
#if __has_include("../attention.cu")
#include "../attention.cu"
#endif
#if __has_include("../norm.cu")
#include "../norm.cu"
#endif
#if __has_include("../spectrum.cu")
#include "../spectrum.cu"
#endif

// Returns 0 or an `emulation::Failure`.
extern "C" int emulate(const char *kernel, const unsigned grid[3], unsigned shared_bytes, const void *args, unsigned args_size) {
    return emulation::launch(kernel, grid, shared_bytes, args, args_size);
}

extern "C" unsigned emulated_threads(const char *kernel) { return emulation::threads_of(kernel); }
