#!/bin/bash
# run_avr.sh MCU [-Os|-O2] FILE.c...: build for an AVR (atmega2560, atmega1284p, atmega328p) and run in simavr:
# output, instructions and cycles of bench_begin..bench_end, peak stack, section sizes.
H=$(cd "$(dirname "$0")" && pwd); R=${LAB_OUT:-${TMPDIR:-/tmp}/octet-mcu}/avr_run
[ "$R" -nt "$H/avr/runner.c" ] || cc -O2 -Wall -o "$R" "$H/avr/runner.c" -lsimavr -lelf || exit 1
mcu=$1; shift; t=$(mktemp -d); trap 'rm -rf "$t"' EXIT; opt=-Os; f=(); x=()
for a in "$@"; do case $a in -O*) opt=$a ;; -*) x+=("$a") ;; *) f+=("$a") ;; esac; done
avr-gcc -mmcu=$mcu -std=gnu99 $opt -ffunction-sections -fdata-sections -fno-common -Wall -Wl,--gc-sections -I"$H" "${x[@]}" \
  -Dmain=lab_main "${f[@]}" -c -o $t/a.o 2>/dev/null || { i=0; for s in "${f[@]}"; do avr-gcc -mmcu=$mcu -std=gnu99 $opt -ffunction-sections -fdata-sections -fno-common -Wall -I"$H" "${x[@]}" -Dmain=lab_main -c "$s" -o $t/a$i.o || exit 1; i=$((i+1)); done; }
printf 'int lab_main(void); void sh_exit(int); int main(void){ sh_exit(lab_main()); return 0; }\n' > $t/m.c
avr-gcc -mmcu=$mcu -std=gnu99 $opt -ffunction-sections -fdata-sections -Wl,--gc-sections -I"$H" $t/a*.o $t/m.c "$H/avr/lab_avr.c" -o $t/p.elf || exit 1
b=$(avr-nm $t/p.elf | awk '$3=="bench_begin"{print $1}'); e=$(avr-nm $t/p.elf | awk '$3=="bench_end"{print $1}')
timeout ${QEMU_TIMEOUT:-600} $R $mcu $t/p.elf ${b:-ffffffff} ${e:-ffffffff} | grep -v '^Loaded '
avr-size -A $t/p.elf | awk '$1==".text"{f=$2} $1==".data"{d=$2} $1==".bss"{b=$2} END{printf "flash %d\ndata %d\nbss %d\n", f+d,d,b}'
