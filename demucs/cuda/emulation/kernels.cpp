// All kernels, and how Rust launches them. They are one unit with what it calls, so that no linker leaves them out.
#include "../attention.cu"
#include "../norm.cu"
#include "../product_f16.cu"
#include "../product_f32.cu"
#include "../spectrum.cu"

// Returns 0 or an `emulation::Failure`.
extern "C" int emulate(const char *kernel, const unsigned grid[3], unsigned shared_bytes, const void *args, unsigned args_size) {
    return emulation::launch(kernel, grid, shared_bytes, args, args_size);
}

extern "C" unsigned emulated_threads(const char *kernel) { return emulation::threads_of(kernel); }
