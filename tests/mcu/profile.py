"""Per-function instruction counts of a run: profile.py ELF HISTFILE [N]."""
import sys, subprocess, bisect
nm = subprocess.run(["arm-none-eabi-nm", "-C", "-S", "--defined-only", sys.argv[1]], capture_output=True, text=True).stdout
syms = []
for l in nm.splitlines():
    p = l.split(None, 3)
    if len(p) == 4 and p[2] in "tTwW": syms.append((int(p[0], 16) & ~1, int(p[1], 16), p[3]))
syms.sort(); st = [s[0] for s in syms]; cnt = {}
for l in open(sys.argv[2]):
    _, pc, n = l.split(); pc = int(pc, 16); i = bisect.bisect_right(st, pc) - 1
    nm_ = syms[i][2] if i >= 0 and pc < syms[i][0] + max(syms[i][1], 2) else "?" ; cnt[nm_] = cnt.get(nm_, 0) + int(n)
tot = sum(cnt.values()); print("total", tot)
for k, v in sorted(cnt.items(), key=lambda x: -x[1])[:int(sys.argv[3]) if len(sys.argv) > 3 else 12]: print(f"{v:12d} {100*v/tot:5.1f}%  {k[:90]}")
