//! Where a value came from: the source's own names.

use std::sync::Arc;

/// The names that a value or operation had in the source model. A rewrite unites the locations of what it replaces, so
/// that a fused operation still names its origins; the last name is the one that the result carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loc(Vec<Arc<str>>);

impl Loc {
    /// How many names a union keeps.
    pub const MOST_NAMES: usize = 256;

    /// A location with one name; an empty name gives no location.
    pub fn named(name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        Self(if name.is_empty() { Vec::new() } else { vec![name.into()] })
    }

    /// A location of nothing that the source names.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// All names, oldest origin first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The name of the result: the last one.
    pub fn name(&self) -> Option<&str> {
        self.0.last().map(AsRef::as_ref)
    }

    /// Whether there is no name at all.
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Names of `self`, then those of `other` that are new; `other`'s last name ends up last. Of more than [`Loc::MOST_NAMES`] the first ones go:
    /// a chain that folds step by step would else hold as many names for each of its steps.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut names: Vec<_> = self.0.iter().filter(|n| !other.0.contains(n)).cloned().collect();
        names.extend(other.0.iter().cloned());
        names.drain(..names.len().saturating_sub(Self::MOST_NAMES));
        Self(names)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Loc {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(|n| n.as_ref().into()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unions_are_bounded_and_end_with_the_name() {
        let all = (0..1000).map(|n| Loc::named(n.to_string())).fold(Loc::unknown(), |loc, one| loc.union(&one));
        assert_eq!((all.names().count(), all.names().next(), all.name()), (Loc::MOST_NAMES, Some("744"), Some("999")));
        assert_eq!(Loc::named("a").union(&Loc::named("b")).union(&Loc::named("a")), ["b", "a"].into_iter().collect());
    }
}
