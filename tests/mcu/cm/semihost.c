/* Arm semihosting + the newlib system calls a program may need. */
#include "lab.h"
static inline uintptr_t sh(uintptr_t op, const void *arg) {
    register uintptr_t r0 __asm("r0") = op;
    register const void *r1 __asm("r1") = arg;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
void sh_puts(const char *s) { sh(0x04, s); }                      /* SYS_WRITE0 */
__attribute__((noreturn)) void sh_exit(int code) {
    uintptr_t blk[2] = {0x20026, (uintptr_t)code};                /* ADP_Stopped_ApplicationExit */
    sh(0x20, blk);                                                /* SYS_EXIT_EXTENDED */
    for (;;) {}
}
void sh_u32(const char *name, uint32_t v) {
    char b[12], *p = b + 11;
    *p = 0;
    do *--p = (char)('0' + v % 10); while (v /= 10);
    sh_puts(name); sh_puts(" "); sh_puts(p); sh_puts("\n");
}
void sh_hex(const char *name, const void *data, uint32_t n) {
    static const char d[] = "0123456789abcdef";
    const uint8_t *q = data;
    char b[67];
    sh_puts(name); sh_puts(" ");
    while (n) {
        uint32_t k = n < 32 ? n : 32, i;
        for (i = 0; i < k; i++) { b[2 * i] = d[q[i] >> 4]; b[2 * i + 1] = d[q[i] & 15]; }
        b[2 * k] = 0; sh_puts(b); q += k; n -= k;
    }
    sh_puts("\n");
}
__attribute__((noinline)) void bench_begin(void) { __asm volatile("" ::: "memory"); }
__attribute__((noinline)) void bench_end(void) { __asm volatile("nop" ::: "memory"); }

/* newlib stubs (only pulled in when something needs them: --gc-sections) */
#include <errno.h>
#include <sys/stat.h>
extern char __heap_start, __heap_end;
void *_sbrk(int n) {
    static char *brk = &__heap_start;
    if (brk + n > &__heap_end) { errno = ENOMEM; return (void *)-1; }
    char *p = brk; brk += n; return p;
}
int _write(int fd, const char *p, int n) {
    (void)fd; char b[2] = {0, 0};
    for (int i = 0; i < n; i++) { b[0] = p[i]; sh(0x03, b); }      /* SYS_WRITEC */
    return n;
}
int _read(int fd, char *p, int n) { (void)fd; (void)p; (void)n; return 0; }
int _close(int fd) { (void)fd; return -1; }
int _lseek(int fd, int o, int w) { (void)fd; (void)o; (void)w; return 0; }
int _fstat(int fd, struct stat *st) { (void)fd; st->st_mode = S_IFCHR; return 0; }
int _isatty(int fd) { (void)fd; return 1; }
int _kill(int p, int s) { (void)p; (void)s; sh_exit(71); }
int _getpid(void) { return 1; }
void _exit(int c) { sh_exit(c); }
void abort(void) { sh_puts("ABORT\n"); sh_exit(72); }
void _init(void) {}
void _fini(void) {}
void *__dso_handle;
