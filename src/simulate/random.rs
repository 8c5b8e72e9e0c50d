//! What happens by chance? [`Random`], the same for the same seed: whoever simulates passes it in.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The draws of run `nth` of a seed.
    pub(super) fn of_run(seed: u64, nth: u64) -> Self {
        let mut first = Self(seed ^ nth.wrapping_mul(0xd134_2543_de82_ef95));
        first.bits();
        first
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to 1, 1 excluded.
    pub(super) fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with that chance, from 0 to 1.
    pub(super) fn chance(&mut self, chance: f64) -> bool {
        self.share() < chance
    }

    /// An index below `count`; 0 where there is nothing.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.share() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// One of these, if there are any.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.below(of.len());
        of.get(at)
    }
}
