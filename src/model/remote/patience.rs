//! How often is a provider asked again, and after which wait? [`Patience`].

use std::time::Duration;

use super::trouble::Trouble;
use crate::value::FailureKind;

/// The first wait.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait of our own choice.
const MOST: Duration = Duration::from_secs(30);
/// The longest wait that a provider may ask for; where it wants more, the call fails.
pub(super) const LONGEST: Duration = Duration::from_secs(600);
/// How long siblings wait where the provider names no time.
pub(super) const SIBLINGS: Duration = Duration::from_millis(500);
/// Tries of a call on a provider that is down, and on one that is overloaded.
const TRIES: (u32, u32) = (6, 40);
/// The same where another model stands by.
const SHORT_TRIES: (u32, u32) = (2, 3);

/// What is left of it for one call.
#[derive(Debug)]
pub(super) struct Patience {
    /// Spreads the waits of calls that failed together.
    seed: [u8; 32],
    down: u32,
    overloaded: u32,
    tries: (u32, u32),
}

impl Patience {
    /// For a call with that key; less of it where there is a fallback.
    pub fn new(key: &str, last_resort: bool) -> Self {
        let tries = if last_resort { TRIES } else { SHORT_TRIES };
        Self { seed: *blake3::hash(key.as_bytes()).as_bytes(), down: 0, overloaded: 0, tries }
    }

    /// How long to wait before the next try; `None` when there is to be none.
    pub fn wait(&mut self, trouble: &Trouble) -> Option<Duration> {
        if !trouble.again || trouble.after.is_some_and(|after| after > LONGEST) {
            return None;
        }
        let (count, most) = match trouble.failure.kind {
            FailureKind::RateLimit => (&mut self.overloaded, self.tries.1),
            _ => (&mut self.down, self.tries.0),
        };
        *count += 1;
        if *count >= most {
            return None;
        }
        let count = *count;
        let grown = FIRST.saturating_mul(1 << (count - 1).min(16)).min(MOST);
        // From half of it to all of it, by the call's own key: calls that failed together do not come back together.
        let part = f64::from(self.seed[count as usize % self.seed.len()]) / 255.0;
        let own = grown.mul_f64(0.5 + part / 2.0);
        Some(trouble.after.map_or(own, |after| after + FIRST.mul_f64(part / 2.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(trouble: &Trouble, last_resort: bool) -> Vec<Duration> {
        let mut patience = Patience::new("a key", last_resort);
        std::iter::from_fn(|| patience.wait(trouble)).collect()
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_end() {
        let waits = waits(&Trouble::status(429, ""), true);
        assert_eq!(waits.len(), 39);
        assert!(waits.windows(2).take(4).all(|w| w[1] > w[0].mul_f64(0.99)), "{waits:?}");
        assert!(waits.iter().all(|w| *w >= FIRST / 2 && *w <= MOST), "{waits:?}");
    }

    #[test]
    fn a_provider_that_names_a_time_is_given_it_and_one_that_wants_too_much_is_given_up() {
        let seven = Duration::from_secs(7);
        let waits_of = |after| waits(&Trouble { after: Some(after), ..Trouble::status(529, "") }, false);
        assert!(waits_of(seven).iter().all(|w| *w >= seven && *w < seven + FIRST), "{:?}", waits_of(seven));
        assert_eq!(waits_of(Duration::from_secs(3_600)), []);
    }

    #[test]
    fn there_is_less_patience_where_another_model_stands_by_and_none_for_a_refusal() {
        assert_eq!(waits(&Trouble::status(503, ""), true).len(), 5);
        assert_eq!(waits(&Trouble::status(503, ""), false).len(), 1);
        assert_eq!(waits(&Trouble::status(400, ""), true), []);
    }
}
