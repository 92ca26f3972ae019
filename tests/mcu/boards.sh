# sourced: board NAME -> MACHINE, CPUFLAGS, ROM/RAM; ld_script OUTFILE writes the linker script.
HARNESS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_OUT=${LAB_OUT:-${TMPDIR:-/tmp}/octet-mcu}; mkdir -p "$LAB_OUT"
PLUGIN=${PLUGIN:-$LAB_OUT/libicount.so}
board() {
  BOARD=$1; ROM=0x00000000 ROMLEN=4M RAM=0x20000000 RAMLEN=4M VECREG=ROM
  case $1 in
    m3)  MACHINE=mps2-an385; CPUFLAGS="-mcpu=cortex-m3 -mthumb -mfloat-abi=soft" ;;
    m4)  MACHINE=mps2-an386; CPUFLAGS="-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16" ;;
    m7)  MACHINE=mps2-an500; CPUFLAGS="-mcpu=cortex-m7 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16" ;;
    m33) MACHINE=mps2-an505; CPUFLAGS="-mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16"
         ROM=0x10000000 RAM=0x38000000 ;;
    m55) MACHINE=mps3-an547; CPUFLAGS="-mcpu=cortex-m55 -mthumb -mfloat-abi=hard"
         ROM=0x11000000 ROMLEN=2M RAM=0x31000000 RAMLEN=4M VECREG=VEC ;;   # vectors in ITCM at 0 (init-svtor), rest in secure SRAM
    *) echo "boards: m3 m4 m7 m33 m55" >&2; return 2 ;;
  esac
}
ld_script() { sed -e "s/@VECREG@/$VECREG/;s/@ROM@/$ROM/;s/@ROMLEN@/$ROMLEN/;s/@RAM@/$RAM/;s/@RAMLEN@/$RAMLEN/" "$HARNESS/cm/cm.ld.in" > "$1"; }
sym() { arm-none-eabi-nm "$1" | awk -v s="$2" '$3==s{print "0x"$1}'; }
plugin() { [ "$PLUGIN" -nt "$HARNESS/icount_plugin.c" ] || cc -O2 -shared -fPIC -o "$PLUGIN" "$HARNESS/icount_plugin.c"; }
