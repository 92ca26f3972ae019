#!/bin/bash
# run_c.sh BOARD [-O2|-Os|...] FILE.c|.cc|.a|.o... [-Idir -Dx ...]: build C/C++ (entry: int main(void))
# for a Cortex-M QEMU board and run it: output, instruction count, section sizes.
# The program may use lab.h: bench_begin()/bench_end() mark the counted region.
# env: CC_STD (default -std=c99), STACK and HEAP in bytes, KEEP=path to keep the ELF, LDX extra link flags
. "$(dirname "$0")/boards.sh"; board "$1" || exit 2; shift
t=$(mktemp -d); trap 'rm -rf "$t"' EXIT; opt=-O2; srcs=(); flags=()
for a in "$@"; do case $a in -O*) opt=$a ;; -*) flags+=("$a") ;; *) srcs+=("$a") ;; esac; done
common="$CPUFLAGS $opt -ffunction-sections -fdata-sections -fno-common -Wall -I$HARNESS"
objs=(); n=0
for s in "${srcs[@]}" "$HARNESS/cm/startup.c" "$HARNESS/cm/semihost.c"; do
  case $s in
    *.c) std=${CC_STD:--std=c99}; [[ $s == $HARNESS/* ]] && std=-std=gnu11
         arm-none-eabi-gcc $std $common "${flags[@]}" -I"$(dirname "$s")" -c "$s" -o "$t/$n.o" || exit 1; objs+=("$t/$n.o") ;;
    *.cc|*.cpp) arm-none-eabi-g++ -std=c++17 -fno-rtti -fno-exceptions -fno-threadsafe-statics $common "${flags[@]}" -c "$s" -o "$t/$n.o" || exit 1; objs+=("$t/$n.o") ;;
    *) objs+=("$s") ;;
  esac; n=$((n+1))
done
ld_script "$t/board.ld"; elf=${KEEP:-$t/prog.elf}
drv=arm-none-eabi-gcc; printf '%s\n' "${srcs[@]}" | grep -qE '\.(cc|cpp)$' && drv=arm-none-eabi-g++
$drv $CPUFLAGS $opt -nostartfiles --specs=nano.specs -T "$t/board.ld" -Wl,--gc-sections -Wl,-Map="$elf.map" \
  -Wl,--defsym=__lab_stack=${STACK:-32768} -Wl,--defsym=__lab_heap=${HEAP:-0} ${LDX:-} \
  "${objs[@]}" -lm -o "$elf" 2> "$t/ld.err" || { cat "$t/ld.err" >&2; exit 1; }
[ -n "$NORUN" ] || "$HARNESS/run_elf.sh" $BOARD "$elf" ${HIST:-}
