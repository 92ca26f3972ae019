/* What a test program sees of the lab; the same on every board. */
#ifndef LAB_H
#define LAB_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
void sh_puts(const char *s);                                /* text to the host */
void sh_u32(const char *name, uint32_t v);                  /* "name 123\n" */
void sh_hex(const char *name, const void *p, uint32_t n);   /* "name 00ff..\n" */
void sh_exit(int code) __attribute__((noreturn));
void bench_begin(void);                                     /* markers of the counted region */
void bench_end(void);
uint32_t stack_used(void);      /* Cortex-M: high-water mark in bytes since reset or repaint */
uint32_t stack_repaint(void);   /* Cortex-M: repaint, returns the stack in use now */
#ifdef __cplusplus
}
#endif
#endif
