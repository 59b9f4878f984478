//! Which object numbers were used, in bounded memory.

/// A set of numbers that mostly grow by one. Where it falls into too many runs, the gap between the lowest two counts
/// as used as well: a sender that numbers as [MS-PSRP] 2.2.4 says is far beyond it.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// First and last of each run, in ascending order, with a gap between any two.
    runs: Vec<(u64, u64)>,
}

impl Used {
    pub(super) fn contains(&self, number: u64) -> bool {
        let behind = self.runs.partition_point(|(first, _)| *first <= number);
        behind.checked_sub(1).and_then(|at| self.runs.get(at)).is_some_and(|(_, last)| *last >= number)
    }

    pub(super) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let at = self.runs.partition_point(|(first, _)| *first <= number);
        self.runs.insert(at, (number, number));
        self.join(at);
        if let Some(before) = at.checked_sub(1) {
            self.join(before);
        }
        if self.runs.len() > MOST_RUNS {
            let lowest = self.runs.remove(0);
            if let Some(next) = self.runs.first_mut() {
                next.0 = lowest.0;
            }
        }
    }

    /// Joins a run with the one behind it where there is no gap between them.
    fn join(&mut self, at: usize) {
        let next = self.runs.get(at + 1).copied();
        if let (Some(run), Some((first, last))) = (self.runs.get_mut(at), next)
            && run.1.checked_add(1) == Some(first)
        {
            run.1 = last;
            self.runs.remove(at + 1);
        }
    }
}

/// Four kilobytes.
const MOST_RUNS: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, prop, proptest};

    use super::{MOST_RUNS, Used};

    #[test]
    fn numbers_that_grow_with_gaps_are_never_taken_for_used() {
        let mut used = Used::default();
        for number in (1..100_000).step_by(7) {
            assert!(!used.contains(number), "one of seven pools of one client");
            used.insert(number);
        }
        assert_eq!(used.runs.len(), MOST_RUNS);
    }

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_and_nothing_else(numbers in prop::collection::vec(0_u64..300, 0..200)) {
            let mut used = Used::default();
            for number in &numbers {
                used.insert(*number);
            }
            let wanted: BTreeSet<u64> = numbers.into_iter().collect();
            for number in 0..301 {
                assert_eq!(used.contains(number), wanted.contains(&number));
            }
        }

        #[test]
        fn it_stays_small_and_forgets_nothing(numbers in prop::collection::vec(any::<u64>(), 0..2000)) {
            let mut used = Used::default();
            for number in &numbers {
                used.insert(*number);
                assert!(used.runs.len() <= MOST_RUNS);
                assert!(used.contains(*number));
            }
            assert!(numbers.iter().all(|number| used.contains(*number)));
        }
    }
}
