//! Damages a file the way disks, networks and attackers do: seeded, so that a finding can be had again.

use crate::inputs::Random;

/// Numbers that offsets, lengths and dimensions go wrong at.
const HARD: [u32; 10] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/// A damaged copy of `bytes`: from one to eight of bit flips, hard numbers in place of 32-bit words, copies of one part
/// over another, and a cut of the end. The same seed damages the same bytes.
#[must_use]
pub fn mutate(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut damaged = bytes.to_vec();
    for _ in 0..1 + below(&mut random, 8) {
        if damaged.is_empty() {
            break;
        }
        let length = damaged.len();
        // Half of the damage goes to the first bytes, where the tables are, and not into weights that nobody checks.
        let reach = if below(&mut random, 2) == 0 { length } else { length.min(2048) };
        let at = below(&mut random, reach);
        match below(&mut random, 8) {
            0..=2 => flip(&mut damaged, at, below(&mut random, 8)),
            3 | 4 => write(&mut damaged, at & !3, pick(&mut random)),
            5 => {
                let found = read(&damaged, at & !3);
                let step = u32::try_from(below(&mut random, 9)).unwrap_or(0);
                write(&mut damaged, at & !3, found.wrapping_add(step).wrapping_sub(4));
            }
            6 => {
                let from = below(&mut random, reach);
                let count = below(&mut random, 64).min(length - from.max(at));
                damaged.copy_within(from..from + count, at);
            }
            _ => damaged.truncate(length - below(&mut random, length)),
        }
    }
    damaged
}

/// A number in [0, limit); 0 for an empty range.
fn below(random: &mut Random, limit: usize) -> usize {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
    usize::try_from(random.bits() % limit).unwrap_or(0)
}

fn pick(random: &mut Random) -> u32 {
    let at = below(random, HARD.len());
    HARD.get(at).copied().unwrap_or(0)
}

fn flip(bytes: &mut [u8], at: usize, bit: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

fn read(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn write(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(word) = bytes.get_mut(at..at + 4) {
        word.copy_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::mutate;

    #[test]
    fn seeds_repeat_and_differ() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        assert_eq!(mutate(&bytes, 7), mutate(&bytes, 7));
        let different = (0..200).filter(|&seed| mutate(&bytes, seed) != bytes).count();
        assert!(different > 190, "{different} of 200 seeds damaged the file");
        assert!((0..1000).all(|seed| mutate(&bytes[..3], seed).len() <= 3));
    }
}
