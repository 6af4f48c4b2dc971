// Launches: one block after the other, its threads as fibers. The order of blocks, of warps between two barriers and of
// lanes between two meetings is shuffled by a fixed seed, shared memory is full of NaN before each block, and a copy
// happens at once or only when it is waited for: what is not synchronised comes out wrong.
#undef _FORTIFY_SOURCE // it takes the stack of another fiber for a mistake
#include "../device.cuh"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

emulation::Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

unsigned char *shared;

namespace {

constexpr unsigned SHARED_BYTES = 227 * 1024, MARGIN_BYTES = 4096;
constexpr size_t STACK_BYTES = 128 * 1024, PAGE_BYTES = 64 * 1024; // no page is larger

struct Kernel {
    unsigned threads, args_size;
    void (*body)(const void *);
};

std::map<std::string, Kernel> &kernels() {
    static std::map<std::string, Kernel> all;
    return all;
}

struct Copy {
    void *shared;
    const void *global;
};

struct Fiber {
    ucontext_t entry;
    jmp_buf context;
    bool entered;
    Meeting meeting; // what it waits for
    void *brought;
    std::vector<Copy> copies;   // that have not happened yet
    std::vector<size_t> groups; // where the committed ones of them end
};

jmp_buf scheduler;
std::vector<Fiber *> fibers;
Fiber *running;
void (*body)(const void *);
const void *arguments;
Failure failure;
uint64_t seed;

uint32_t random_bits() {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(seed >> 33);
}

template <class T> void shuffle_order(std::vector<T> &order) {
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random_bits() % i]);
}

// Never called: places to wait for.
void barrier(void *const[32]) {}
void end(void *const[32]) { failure = DIVERGENCE; }

void run() {
    for (;;) {
        body(arguments);
        running->copies.clear();
        running->groups.clear();
        meet(end, nullptr);
    }
}

__attribute__((noinline)) void resume(Fiber *fiber) {
    if (_setjmp(scheduler)) return;
    running = fiber;
    if (fiber->entered) _longjmp(fiber->context, 1);
    fiber->entered = true;
    setcontext(&fiber->entry);
}

void give_stack(Fiber &fiber) {
    void *stack = mmap(nullptr, PAGE_BYTES + STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) abort();
    stack = static_cast<unsigned char *>(stack) + PAGE_BYTES; // what is before it is never to be touched
    if (mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE)) abort();
    getcontext(&fiber.entry);
    fiber.entry.uc_stack.ss_sp = stack;
    fiber.entry.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber.entry, run, 0);
}

// Fibers at the beginning of their threads, whatever became of the last launch.
void prepare(unsigned threads) {
    while (fibers.size() < threads) {
        fibers.push_back(new Fiber{});
        give_stack(*fibers.back());
    }
    for (Fiber *fiber : fibers) {
        if (fiber->meeting == end) continue;
        fiber->entered = false;
        fiber->copies.clear();
        fiber->groups.clear();
    }
}

// Runs a warp until all its threads are at a barrier or at their end.
Meeting run_warp(unsigned warp) {
    Fiber *const *lanes = &fibers[warp * 32];
    void *brought[32];
    for (;;) {
        unsigned mask = random_bits() & 31;
        for (unsigned i = 0; i < 32; i++) {
            unsigned lane = i ^ mask;
            threadIdx = {warp * 32 + lane, 0, 0};
            resume(lanes[lane]);
            brought[lane] = lanes[lane]->brought;
        }
        for (unsigned lane = 1; lane < 32; lane++)
            if (lanes[lane]->meeting != lanes[0]->meeting) fail(DIVERGENCE);
        Meeting meeting = lanes[0]->meeting;
        if (failure || meeting == barrier || meeting == end) return meeting;
        meeting(brought);
    }
}

void run_block(unsigned threads) {
    std::vector<unsigned> warps;
    for (unsigned i = 0; i < threads / 32; i++) warps.push_back(i);
    for (Meeting all = barrier; all != end && !failure;) {
        shuffle_order(warps);
        all = run_warp(warps[0]);
        for (size_t i = 1; i < warps.size() && !failure; i++)
            if (run_warp(warps[i]) != all) fail(DIVERGENCE);
    }
}

Failure run_blocks(const Kernel &kernel, const unsigned grid[3], unsigned shared_bytes) {
    static unsigned char *memory = static_cast<unsigned char *>(aligned_alloc(128, SHARED_BYTES + 128 + MARGIN_BYTES));
    if (shared_bytes > SHARED_BYTES) return SHARED_MEMORY_SIZE;
    shared = memory;
    body = kernel.body;
    failure = NONE;
    seed = 1;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {kernel.threads, 1, 1};
    prepare(kernel.threads);
    std::vector<uint64_t> blocks;
    for (uint64_t i = 0; i < uint64_t{grid[0]} * grid[1] * grid[2]; i++) blocks.push_back(i);
    shuffle_order(blocks);
    for (uint64_t block : blocks) {
        blockIdx.x = static_cast<unsigned>(block % grid[0]);
        blockIdx.y = static_cast<unsigned>(block / grid[0] % grid[1]);
        blockIdx.z = static_cast<unsigned>(block / grid[0] / grid[1]);
        memset(shared, 0xff, shared_bytes + MARGIN_BYTES);
        run_block(kernel.threads);
        for (unsigned i = 0; i < MARGIN_BYTES && !failure; i++)
            if (shared[shared_bytes + i] != 0xff) fail(SHARED_MEMORY_OVERRUN);
        if (failure) break;
    }
    return failure;
}

} // namespace

Registration::Registration(const char *name, unsigned threads, unsigned args_size, void (*body)(const void *)) {
    kernels()[name] = {threads, args_size, body};
}

Failure launch(const char *kernel, const unsigned grid[3], unsigned shared_bytes, const void *args, unsigned args_size) {
    static std::mutex one_at_a_time;
    std::lock_guard<std::mutex> guard(one_at_a_time);
    auto found = kernels().find(kernel);
    if (found == kernels().end()) return UNKNOWN_KERNEL;
    if (found->second.args_size != args_size) return SIZE_OF_ARGUMENTS;
    arguments = args;
    return run_blocks(found->second, grid, shared_bytes);
}

unsigned threads_of(const char *kernel) {
    auto found = kernels().find(kernel);
    return found == kernels().end() ? 0 : found->second.threads;
}

void fail(Failure what) {
    if (!failure) failure = what;
}

__attribute__((noinline)) void meet(Meeting meeting, void *brought) {
    running->meeting = meeting;
    running->brought = brought;
    if (!_setjmp(running->context)) _longjmp(scheduler, 1);
}

void copy(void *to, const void *from) {
    if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % 16) return fail(MISALIGNED_COPY);
    if (random_bits() % 2)
        memcpy(to, from, 16);
    else
        running->copies.push_back({to, from});
}

void commit_copies() { running->groups.push_back(running->copies.size()); }

void wait_for_copies(unsigned groups_left) {
    auto &copies = running->copies;
    auto &groups = running->groups;
    if (groups.size() <= groups_left) return;
    size_t done = groups[groups.size() - 1 - groups_left];
    for (size_t i = 0; i < done; i++) memcpy(copies[i].shared, copies[i].global, 16);
    copies.erase(copies.begin(), copies.begin() + static_cast<ptrdiff_t>(done));
    groups.erase(groups.begin(), groups.end() - groups_left);
    for (size_t &group : groups) group -= done;
}

} // namespace emulation

void sync() { emulation::meet(emulation::barrier, nullptr); }
