/* RV32 bare-metal startup and semihosting for qemu-system-riscv32 -M virt. */
#include "lab.h"
extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[], __stack_limit[], __stack_top[];
int main(void);
static long sh(long op, const void *arg) {
    register long a0 __asm("a0") = op; register const void *a1 __asm("a1") = arg;
    __asm volatile(".balign 16\n .option push\n .option norvc\n slli x0,x0,0x1f\n ebreak\n srai x0,x0,7\n .option pop" : "+r"(a0) : "r"(a1) : "memory");
    return a0;
}
void sh_puts(const char *s) { sh(4, s); }
void sh_exit(int code) { uintptr_t b[2] = {0x20026, (uintptr_t)code}; sh(0x20, b); for (;;) {} }
void sh_u32(const char *name, uint32_t v) {
    char b[12], *p = b + 11; *p = 0;
    do *--p = (char)('0' + v % 10); while (v /= 10);
    sh_puts(name); sh_puts(" "); sh_puts(p); sh_puts("\n");
}
void sh_hex(const char *name, const void *d, uint32_t n) {
    const uint8_t *q = d; char b[3] = {0}; sh_puts(name); sh_puts(" ");
    while (n--) { b[0] = "0123456789abcdef"[*q >> 4]; b[1] = "0123456789abcdef"[*q++ & 15]; sh_puts(b); }
    sh_puts("\n");
}
__attribute__((noinline)) void bench_begin(void) { __asm volatile("" ::: "memory"); }
__attribute__((noinline)) void bench_end(void) { __asm volatile("nop" ::: "memory"); }
uint32_t stack_used(void) { uint32_t *p = __stack_limit; while (p < __stack_top && *p == 0xA5A5A5A5u) p++; return (uint32_t)((char *)__stack_top - (char *)p); }
__attribute__((noinline)) uint32_t stack_repaint(void) {
    uint32_t *sp; __asm volatile("mv %0, sp" : "=r"(sp));
    for (volatile uint32_t *p = __stack_limit; p < sp - 8; p++) *p = 0xA5A5A5A5u;
    return (uint32_t)((char *)__stack_top - (char *)sp);
}
__attribute__((noreturn, used)) static void start2(void) {
    for (uint32_t *d = __data_start, *s = __data_load; d < __data_end;) *d++ = *s++;
    for (volatile uint32_t *d = __bss_start; d < (volatile uint32_t *)__bss_end;) *d++ = 0;
    stack_repaint();
    sh_exit(main());
}
__attribute__((naked, section(".vectors"), used)) void _start(void) {
    __asm volatile(".option push\n .option norelax\n la gp, __global_pointer$\n .option pop\n la sp, __stack_top\n j start2");
}
