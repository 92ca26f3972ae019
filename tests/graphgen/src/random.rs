//! Random numbers with a stream that never changes: PCG-64 and nothing that rounds differently between platforms.

/// A seeded stream of random choices.
#[derive(Clone, Debug)]
pub struct Random(oorandom::Rand64);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(oorandom::Rand64::new(seed.into()))
    }

    /// A number below `count`; 0 when `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.0.rand_range(0..count.max(1) as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// An integer from `low` to `high`, both included.
    pub fn integer(&mut self, low: i64, high: i64) -> i64 {
        let span = high.wrapping_sub(low).cast_unsigned();
        let offset = if span == u64::MAX { self.0.rand_u64() } else { self.0.rand_range(0..span + 1) };
        low.wrapping_add(offset.cast_signed())
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the items.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A number in [0, 1) with 24 bits, which `f32` holds exactly.
    pub fn unit(&mut self) -> f32 {
        const STEPS: u16 = 1 << 12;
        let digit = |r: &mut Self| f32::from(u16::try_from(r.0.rand_range(0..STEPS.into())).unwrap_or(0));
        (digit(self) + digit(self) / f32::from(STEPS)) / f32::from(STEPS)
    }

    /// A number in [low, high).
    pub fn float(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_stream_never_changes() {
        let mut random = Random::new(1);
        let drawn: Vec<usize> = (0..6).map(|_| random.below(1000)).collect();
        assert_eq!(drawn, [243, 348, 257, 706, 958, 790]);
        assert_eq!(random.integer(i64::MIN, i64::MAX), -1_878_827_896_169_556_649);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
        assert!((0..1000).all(|_| (-3..=4).contains(&random.integer(-3, 4))));
    }
}
