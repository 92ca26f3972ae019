#!/bin/bash
# run_elf.sh BOARD ELF [hist]: run ELF on the board's QEMU machine; prints what the program
# printed, then "insns N" (bench_begin..bench_end), "insns_total N" and the section sizes.
. "$(dirname "$0")/boards.sh"; board "$1" || exit 2; elf=$2; plugin
log=$(mktemp)
b=$(sym "$elf" bench_begin); e=$(sym "$elf" bench_end); args="$PLUGIN"
[ -n "$b" ] && [ -n "$e" ] && args="$args,begin=$b,end=$e"
[ -n "$3" ] && args="$args,hist=on"
timeout "${QEMU_TIMEOUT:-600}" qemu-system-arm -M $MACHINE -display none -serial null -monitor none \
  -chardev stdio,id=sh -semihosting-config enable=on,target=native,chardev=sh -kernel "$elf" -plugin "$args" -d plugin -D "$log" ${QEMU_EXTRA:-} < /dev/null
rc=$?
awk '/^region/{print "insns " $4} /^total/{print "insns_total " $3}' "$log"
[ -n "$3" ] && grep '^pc ' "$log" > "$3"
arm-none-eabi-size -A "$elf" | awk '/^\.(vectors|text|rodata|ARM)/{f+=$2} $1==".data"{d=$2} $1==".bss"{b=$2}
  END{printf "flash %d\ndata %d\nbss %d\n", f+d, d, b}'
rm -f "$log"; [ $rc = 0 ] || echo "exit $rc"; exit $rc
