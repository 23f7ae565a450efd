// Runs a grid on one host thread: blocks in order, the threads of a block one after the other until
// they wait. Every second block runs its threads in descending order, so that a missing barrier
// shows. Threads that wait for each other at different barriers end the launch with a message.

#include "cuda_host.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace shim {
dim3 thread_index, block_index, block_size, grid_size;
unsigned thread_number;
unsigned char *shared;

namespace {

// ---- fibers: stacks and switching ----

#ifdef __SANITIZE_ADDRESS__
const size_t STACK = 256 * 1024;
#else
const size_t STACK = 64 * 1024;
#endif

struct Fiber {
    unsigned char *stack = nullptr;
#if defined(__x86_64__)
    void *sp = nullptr;
#else
    ucontext_t context;
#endif
};

Fiber scheduler;
Fiber *running = &scheduler;

#if defined(__x86_64__)
extern "C" void shim_switch(void **from, void *to);
asm(R"(
.text
.hidden shim_switch
.globl shim_switch
shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
#endif

#ifdef __SANITIZE_ADDRESS__
const void *scheduler_stack;
size_t scheduler_size;
#endif

void switch_to(Fiber *to) {
    Fiber *from = running;
    running = to;
#ifdef __SANITIZE_ADDRESS__
    void *fake = nullptr;
    if (to == &scheduler)
        __sanitizer_start_switch_fiber(&fake, scheduler_stack, scheduler_size);
    else
        __sanitizer_start_switch_fiber(&fake, to->stack, STACK);
#endif
#if defined(__x86_64__)
    shim_switch(&from->sp, to->sp);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef __SANITIZE_ADDRESS__
    if (from == &scheduler)
        __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
    else
        __sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_size);
#endif
}

void fiber_main();

void reset(Fiber *f) {
    if (!f->stack) f->stack = static_cast<unsigned char *>(std::aligned_alloc(4096, STACK));
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(f->stack, STACK);
#endif
#if defined(__x86_64__)
    // Six registers, the address that `ret` takes, and a return address of nobody.
    void **top = reinterpret_cast<void **>(f->stack + STACK) - 2;
    top[0] = reinterpret_cast<void *>(fiber_main);
    top[1] = nullptr;
    f->sp = top - 6;
    for (int i = 0; i < 6; ++i) top[i - 6] = nullptr;
    // At its first instruction a function finds the stack 8 bytes past a multiple of 16.
    static_assert(STACK % 16 == 0, "");
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
#endif
}

// ---- one block ----

enum State { RUNNING, AT_BLOCK, AT_WARP, DONE };

struct Thread {
    State state;
    int line;
    unsigned mask;
    dim3 index;
    Fiber *fiber;
};

std::mutex one_launch;
std::vector<Fiber *> idle, all_fibers;
Thread threads[1024];
uint64_t given[1024], taken[1024];  // what lanes hand over, and what they may read
unsigned count, started, finished;
bool descending;
void (*entry)(void **);
void **entry_arguments;
char *message;
size_t message_size;
bool failed;

void enter(unsigned t) {
    thread_number = t;
    thread_index = threads[t].index;
    threads[t].state = RUNNING;
}

// A fiber runs one thread after the other; one that waits keeps it.
void fiber_main() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_size);
#endif
    for (;;) {
        while (started < count) {
            unsigned t = descending ? count - 1 - started : started;
            ++started;
            enter(t);
            threads[t].fiber = running;
            entry(entry_arguments);
            threads[thread_number].state = DONE;
            ++finished;
        }
        idle.push_back(running);
        switch_to(&scheduler);
    }
}

Fiber *take_fiber() {
    if (idle.empty()) {
        Fiber *f = new Fiber;
        reset(f);
        all_fibers.push_back(f);
        return f;
    }
    Fiber *f = idle.back();
    idle.pop_back();
    return f;
}

void wait(State state, unsigned mask, int line) {
    unsigned t = thread_number;
    threads[t].state = state;
    threads[t].mask = mask;
    threads[t].line = line;
    switch_to(&scheduler);
    enter(t);
}

void say(const char *what, unsigned t, int line) {
    if (failed) return;
    failed = true;
    std::snprintf(message, message_size, "%s: thread %u of block %u,%u,%u at line %d", what, t, block_index.x,
                  block_index.y, block_index.z, line);
}

// Lets the lanes of a warp go whose whole mask waits; true if any.
bool release_warp(unsigned first) {
    unsigned width = count - first < 32 ? count - first : 32;
    bool any = false;
    for (unsigned l = 0; l < width; ++l) {
        Thread &a = threads[first + l];
        if (a.state != AT_WARP) continue;
        unsigned mask = a.mask;
        if (!(mask >> l & 1)) return say("a lane outside its own mask", first + l, a.line), false;
        bool ready = true;
        for (unsigned o = 0; o < 32 && ready; ++o) {
            if (!(mask >> o & 1)) continue;
            // Lanes past the block's end do not exist; lanes that ended cannot come.
            if (o >= width || threads[first + o].state == DONE)
                return say("a warp operation names a lane that ended", first + l, a.line), false;
            Thread &b = threads[first + o];
            ready = b.state == AT_WARP && b.mask == mask;
            if (ready && b.line != a.line)
                return say("lanes of a warp wait at different lines", first + l, a.line), false;
        }
        if (!ready) continue;
        any = true;
        for (unsigned o = 0; o < width; ++o)
            if (mask >> o & 1) {
                taken[first + o] = given[first + o];
                threads[first + o].state = RUNNING;
            }
    }
    return any;
}

bool release_block() {
    int line = -1;
    for (unsigned t = 0; t < count; ++t) {
        Thread &a = threads[t];
        if (a.state == DONE) continue;
        if (line < 0) line = a.line;
        if (a.state != AT_BLOCK || a.line != line) return say("divergent barrier", t, a.line), false;
    }
    for (unsigned t = 0; t < count; ++t)
        if (threads[t].state == AT_BLOCK) threads[t].state = RUNNING;
    return true;
}

void run_block() {
    started = finished = 0;
    while (started < count && !failed) switch_to(take_fiber());
    while (finished < count && !failed) {
        bool any = false;
        for (unsigned w = 0; w < count; w += 32) any |= release_warp(w);
        if (failed || (!any && !release_block())) break;
        for (unsigned i = 0; i < count && !failed; ++i) {
            unsigned t = descending ? count - 1 - i : i;
            if (threads[t].state == RUNNING) switch_to(threads[t].fiber);
        }
    }
}

}  // namespace

void block_barrier(int line) { wait(AT_BLOCK, 0, line); }

const uint64_t *warp_exchange(unsigned mask, uint64_t value, int line) {
    given[thread_number] = value;
    wait(AT_WARP, mask, line);
    return &taken[thread_number & ~31u];
}

void fail(const char *what, int line) {
    say(what, thread_number, line);
    for (;;) switch_to(&scheduler);
}

}  // namespace shim

// Runs one launch; 0, or 1 with a message.
extern "C" __attribute__((visibility("default"))) int shim_launch(void (*entry)(void **), void **arguments,
                                                                  const unsigned *grid, const unsigned *block,
                                                                  unsigned shared_bytes, char *message,
                                                                  size_t message_size) {
    using namespace shim;
    std::lock_guard<std::mutex> guard(one_launch);
    grid_size = {grid[0], grid[1], grid[2]};
    block_size = {block[0], block[1], block[2]};
    count = block[0] * block[1] * block[2];
    for (unsigned t = 0; t < count; ++t)
        threads[t].index = {t % block[0], t / block[0] % block[1], t / (block[0] * block[1])};
    shim::entry = entry;
    entry_arguments = arguments;
    shim::message = message;
    shim::message_size = message_size;
    failed = false;
    // Exactly what was asked for, so that the address sanitizer sees its end.
    shared = static_cast<unsigned char *>(std::aligned_alloc(128, (shared_bytes + 127) / 128 * 128));
#ifdef __SANITIZE_ADDRESS__
    if (shared_bytes % 128) __asan_poison_memory_region(shared + shared_bytes, 128 - shared_bytes % 128);
#endif
    for (unsigned z = 0; z < grid[2] && !failed; ++z)
        for (unsigned y = 0; y < grid[1] && !failed; ++y)
            for (unsigned x = 0; x < grid[0] && !failed; ++x) {
                block_index = {x, y, z};
                descending = (x + y + z) % 2 == 1;
                // NaNs: what a block did not write is nothing to rely on.
                std::memset(shared, 0xff, shared_bytes);
                run_block();
            }
#ifdef __SANITIZE_ADDRESS__
    if (shared) __asan_unpoison_memory_region(shared, (shared_bytes + 127) / 128 * 128);
#endif
    std::free(shared);
    shared = nullptr;
    if (failed) {
        // Threads that still wait are forgotten.
        idle = all_fibers;
        for (Fiber *f : all_fibers) reset(f);
    }
    return failed;
}
