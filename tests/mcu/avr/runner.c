/* avr_run: run an AVR ELF in libsimavr, count instructions and cycles, total and between two
 * code addresses (bench_begin / bench_end); UART0 goes to stdout. Stops on sleep with interrupts off.
 *   cc -O2 -o avr_run runner.c -lsimavr -lelf
 *   avr_run MCU ELF BEGIN_HEX END_HEX                                              */
#include <stdio.h>
#include <stdlib.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/avr_uart.h>
static void uart(struct avr_irq_t *irq, uint32_t v, void *p) { (void)irq; (void)p; putchar((int)v); }
static void quiet(avr_t *a, const int level, const char *f, va_list ap) { if (level <= LOG_ERROR) { (void)a; vfprintf(stderr, f, ap); } }
int main(int argc, char **argv) {
    if (argc < 3) return 2;
    elf_firmware_t f = {0};
    if (elf_read_firmware(argv[2], &f)) return 2;
    avr_global_logger_set(quiet);
    avr_t *avr = avr_make_mcu_by_name(argv[1]);
    if (!avr) { fprintf(stderr, "unknown mcu\n"); return 2; }
    avr_init(avr); f.frequency = 16000000; avr_load_firmware(avr, &f);
    uint32_t fl = 0; avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &fl);
    fl &= ~AVR_UART_FLAG_STDIO; fl &= ~AVR_UART_FLAG_POOL_SLEEP; avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &fl);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), uart, 0);
    unsigned long b = argc > 3 ? strtoul(argv[3], 0, 16) : ~0ul, e = argc > 4 ? strtoul(argv[4], 0, 16) : ~0ul;
    unsigned long long n = 0, n0 = 0, c0 = 0, rn = 0, rc = 0; int in = 0; uint16_t minsp = 0xffff;
    for (;;) {
        if (avr->pc == b && !in) { in = 1; n0 = n; c0 = avr->cycle; }
        if (avr->pc == e && in) { in = 0; rn = n - n0; rc = avr->cycle - c0; }
        uint16_t sp = (uint16_t)(avr->data[R_SPL] | avr->data[R_SPH] << 8);
        if (sp > 0x100 && sp < minsp) minsp = sp;
        avr->run_cycle_limit = 1; avr->run_cycle_count = 1;       /* one instruction a call */
        int s = avr_run(avr);
        if (s == cpu_Done || s == cpu_Crashed) { if (s == cpu_Crashed) printf("CRASHED\n"); break; }
        if (s == cpu_Running) n++;
    }
    fflush(stdout);
    printf("insns %llu\ncycles %llu\ninsns_total %llu\ncycles_total %llu\nstack_max %u\n", rn, rc, n, (unsigned long long)avr->cycle, (unsigned)(avr->ramend - minsp));
    return 0;
}
