/* lab.h for AVR: UART0 output, stop by sleeping with interrupts off. */
#include <avr/io.h>
#include <avr/interrupt.h>
#include <avr/sleep.h>
#include "lab.h"
static void put(char c) { UCSR0B = 1 << TXEN0; while (!(UCSR0A & (1 << UDRE0))) {} UDR0 = (uint8_t)c; }
void sh_puts(const char *s) { while (*s) put(*s++); }
void sh_u32(const char *name, uint32_t v) {
    char b[12], *p = b + 11; *p = 0;
    do *--p = (char)('0' + v % 10); while (v /= 10);
    sh_puts(name); put(' '); sh_puts(p); put('\n');
}
void sh_hex(const char *name, const void *d, uint32_t n) {
    const uint8_t *q = d; sh_puts(name); put(' ');
    while (n--) { uint8_t a = *q >> 4, b = *q++ & 15; put((char)(a + (a < 10 ? '0' : 'a' - 10))); put((char)(b + (b < 10 ? '0' : 'a' - 10))); }
    put('\n');
}
void sh_exit(int code) {
    if (code) sh_u32("exit", (uint32_t)code);
    for (volatile uint16_t i = 0; i < 2000; i++) {}                 /* let the last byte out */
    cli(); sleep_enable(); for (;;) sleep_cpu();
}
__attribute__((noinline)) void bench_begin(void) { __asm volatile("" ::: "memory"); }
__attribute__((noinline)) void bench_end(void) { __asm volatile("nop" ::: "memory"); }
uint32_t stack_used(void) { return 0; }
uint32_t stack_repaint(void) { return 0; }
int lab_main(void);
