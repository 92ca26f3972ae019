//! Where to cut: which operations run first, which next, so that the heaviest segment is lightest.
//!
//! A segment and all before it are a set that holds, with an operation, everything that it reads from. In execution order there is one such set for each place
//! between two operations; where branches lie side by side there are more, and they may balance better. Where there are not too many, all of them are
//! compared, so that what is found is the best that any order allows.

use std::collections::BTreeSet;

/// Most sets that are compared; beyond, cuts keep the execution order.
const MOST_SETS: usize = 2048;

/// Operations of each segment, and what is known of their balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// Indices of the operations of each segment, in execution order.
    pub(crate) segments: Vec<Vec<usize>>,
    /// Whether all orders were compared, or the execution order alone.
    pub(crate) every_order: bool,
}

/// A set of operations, a bit for each.
type Set = Vec<u64>;

/// Cuts into `count` segments of at least one operation, where `reads[i]` lists the operations that operation `i` reads from, all before it.
pub(crate) fn cuts(weights: &[u64], reads: &[Vec<usize>], count: usize) -> Cuts {
    let n = weights.len();
    let in_order: Vec<Set> = (0..=n).map(|size| first(size, n)).collect();
    let (plain, heaviest) = best(weights, &in_order, count);
    let Some(all) = sets(reads) else { return Cuts { segments: between(&plain, n), every_order: false } };
    let (any, lightest) = best(weights, &all, count);
    // Another order only where it is better: people know the operations by their indices.
    let chosen = if lightest < heaviest { any } else { plain };
    Cuts { segments: between(&chosen, n), every_order: true }
}

/// The first `size` of `n` operations.
fn first(size: usize, n: usize) -> Set {
    let mut set = vec![0; n.div_ceil(64).max(1)];
    (0..size).for_each(|i| insert(&mut set, i));
    set
}

fn insert(set: &mut Set, index: usize) {
    if let Some(word) = set.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}

fn holds(set: &Set, index: usize) -> bool {
    set.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

/// Whether `inner` is a part of `outer` and not all of it.
fn within(inner: &Set, outer: &Set) -> bool {
    inner != outer && inner.iter().zip(outer).all(|(a, b)| a & !b == 0)
}

/// All sets of operations that can run before the rest, smaller ones first; `None` if there are too many.
fn sets(reads: &[Vec<usize>]) -> Option<Vec<Set>> {
    let n = reads.len();
    let mut all = vec![first(0, n)];
    let mut level = BTreeSet::from([first(0, n)]);
    for _ in 0..n {
        let mut next = BTreeSet::new();
        for set in &level {
            let ready = |i: &usize| !holds(set, *i) && reads.get(*i).is_some_and(|r| r.iter().all(|j| holds(set, *j)));
            for i in (0..n).filter(ready) {
                let mut larger = set.clone();
                insert(&mut larger, i);
                next.insert(larger);
            }
            if all.len() + next.len() > MOST_SETS {
                return None;
            }
        }
        all.extend(next.iter().cloned());
        level = next;
    }
    Some(all)
}

/// The chain of `count` sets, up to the whole, whose differences have the lightest heaviest weight, and that weight.
/// `sets` begins with the empty one, and smaller ones
/// come first.
fn best(weights: &[u64], sets: &[Set], count: usize) -> (Vec<Set>, u64) {
    let weight = |set: &Set| weights.iter().enumerate().filter(|(i, _)| holds(set, *i)).fold(0u64, |sum, (_, w)| sum.saturating_add(*w));
    let sums: Vec<u64> = sets.iter().map(weight).collect();
    // For each set, the heaviest of k segments that make it up, and the set before the last of them.
    let mut rows: Vec<Vec<Option<(u64, usize)>>> = vec![sets.iter().enumerate().map(|(i, _)| (i == 0).then_some((0, 0))).collect()];
    for _ in 0..count {
        let before = rows.last().cloned().unwrap_or_default();
        let row = sets.iter().zip(&sums).enumerate().map(|(i, (set, sum))| {
            let earlier = sets.iter().zip(&sums).zip(&before).take(i).enumerate();
            let candidates = earlier.filter_map(|(j, ((inner, part), found))| {
                let (heaviest, _) = (*found)?;
                within(inner, set).then(|| (heaviest.max(sum - part), j))
            });
            candidates.min()
        });
        rows.push(row.collect());
    }
    let mut at = sets.len().saturating_sub(1);
    let heaviest = rows.last().and_then(|row| row.get(at).copied().flatten()).map_or(u64::MAX, |(heaviest, _)| heaviest);
    let mut chain = Vec::new();
    for row in rows.iter().skip(1).rev() {
        chain.extend(sets.get(at).cloned());
        at = row.get(at).copied().flatten().map_or(0, |(_, before)| before);
    }
    chain.reverse();
    (chain, heaviest)
}

/// What each set of a chain adds to the one before.
fn between(chain: &[Set], n: usize) -> Vec<Vec<usize>> {
    let mut before = first(0, n);
    let mut segments = Vec::new();
    for set in chain {
        segments.push((0..n).filter(|i| holds(set, *i) && !holds(&before, *i)).collect());
        before = set.clone();
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heaviest(cuts: &Cuts, weights: &[u64]) -> u64 {
        cuts.segments.iter().map(|s| s.iter().map(|i| weights[*i]).sum()).max().unwrap_or(0)
    }

    #[test]
    fn the_heaviest_segment_is_lightest() {
        for (weights, count, lightest) in [(&[1, 1, 1, 1][..], 2, 2), (&[9, 1, 1, 1], 2, 9), (&[5, 1, 5, 1, 5], 3, 6), (&[0, 0], 2, 0)] {
            let chain: Vec<Vec<usize>> = (0..weights.len()).map(|i| i.checked_sub(1).into_iter().collect()).collect();
            let found = cuts(weights, &chain, count);
            assert_eq!(
                (found.segments.len(), heaviest(&found, weights), found.every_order),
                (count, lightest, true),
                "{weights:?}: {found:?}"
            );
            assert_eq!(found.segments.concat(), (0..weights.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn branches_are_cut_in_the_order_that_balances() {
        // In order, the halves are 4 and 2; with operation 2 before 1, 3 and 3.
        let (weights, reads) = ([0, 1, 3, 2, 0], [vec![], vec![0], vec![0], vec![0], vec![1, 2, 3]]);
        assert_eq!(cuts(&weights, &reads, 2).segments, [vec![0, 2], vec![1, 3, 4]]);
        // 3 and 4 in order, 4 and 3 in another: the order stays.
        let (weights, reads) = ([1, 2, 3, 1], [vec![], vec![0], vec![0], vec![1, 2]]);
        assert_eq!(cuts(&weights, &reads, 2), Cuts { segments: vec![vec![0, 1], vec![2, 3]], every_order: true });
    }

    #[test]
    fn many_branches_keep_the_execution_order() {
        let reads: Vec<Vec<usize>> = vec![Vec::new(); 40];
        let found = cuts(&[1; 40], &reads, 4);
        assert_eq!((heaviest(&found, &[1; 40]), found.every_order), (10, false));
    }
}
