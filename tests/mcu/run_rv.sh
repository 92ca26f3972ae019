#!/bin/bash
# run_rv.sh [-O2|-Os] FILE.c...: build for RV32 (MARCH, default rv32imc) and run on qemu-system-riscv32 virt:
# output, instruction count of bench_begin..bench_end, section sizes.
. "$(dirname "$0")/boards.sh"; plugin; MARCH=${MARCH:-rv32imc}
t=$(mktemp -d); trap 'rm -rf "$t"' EXIT; opt=-O2; f=(); x=()
for a in "$@"; do case $a in -O*) opt=$a ;; -*) x+=("$a") ;; *) f+=("$a") ;; esac; done
riscv64-unknown-elf-gcc -march=$MARCH -mabi=ilp32 --specs=picolibc.specs -std=gnu99 $opt -ffunction-sections -fdata-sections -fno-common -Wall \
  -fno-asynchronous-unwind-tables -I"$HARNESS" "${x[@]}" -nostartfiles -T "$HARNESS/rv/rv.ld" -Wl,--gc-sections "${f[@]}" "$HARNESS/rv/startup.c" -lm -o $t/p.elf || exit 1
s() { riscv64-unknown-elf-nm $t/p.elf | awk -v s=$1 '$3==s{print "0x"$1}'; }
timeout ${QEMU_TIMEOUT:-600} qemu-system-riscv32 -M virt -bios none -display none -serial null -monitor none -chardev stdio,id=sh \
  -semihosting-config enable=on,target=native,chardev=sh -kernel $t/p.elf -plugin "$PLUGIN,begin=$(s bench_begin),end=$(s bench_end)" -d plugin -D $t/log < /dev/null
rc=$?; awk '/^region/{print "insns " $4} /^total/{print "insns_total " $3}' $t/log
riscv64-unknown-elf-size -A $t/p.elf | awk '/^\.(text|rodata|eh_frame)/{f+=$2} $1==".data"{d=$2} $1==".bss"{b=$2} END{printf "flash %d\ndata %d\nbss %d\n", f+d,d,b}'
[ $rc = 0 ] || echo "exit $rc"; exit $rc
