//! Values that must share a scale: a union-find whose sets carry ranges and prescribed parameters.

use super::params::{Bounds, Params, Width};

/// Why a set's parameters are what they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    /// Nothing prescribes them: the union of ranges decides.
    Range,
    /// Training found them (a `FAKE_QUANT` or a quantize/dequantize pair).
    Trained(Params),
    /// A kernel prescribes them.
    Kernel(Params),
}

/// One set of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    /// Union of the members' ranges.
    pub(super) bounds: Option<Bounds>,
    /// Prescribed parameters.
    pub(super) anchor: Anchor,
    /// The zero point must be 0.
    pub(super) symmetric: bool,
}

impl Class {
    /// A set of one value of this range.
    pub(super) fn free(bounds: Option<Bounds>) -> Self {
        Self { bounds, anchor: Anchor::Range, symmetric: false }
    }

    /// The set's parameters; `None` when neither a range nor anything else decides them.
    pub(super) fn params(&self, width: Width) -> Option<Params> {
        match self.anchor {
            Anchor::Trained(params) | Anchor::Kernel(params) => Some(params),
            Anchor::Range => self.bounds.map(|bounds| match (width, self.symmetric) {
                (Width::I8, true) => Params::symmetric(bounds, 127.0),
                (Width::I8 | Width::I16, _) => Params::for_activation(bounds, width),
            }),
        }
    }

    /// The set that two make together; `None` when no parameters satisfy both. With `forced`, what training found holds whatever the other's
    /// range is.
    fn join(&self, other: &Self, width: Width, forced: bool) -> Option<Self> {
        let fits = |p: Params, bounds: Option<Bounds>| bounds.is_none_or(|b| p.covers(b, width));
        let bounds = match (self.bounds, other.bounds) {
            (Some(a), Some(b)) => Some(a.union(b)),
            (a, b) => a.or(b),
        };
        let symmetric = self.symmetric || other.symmetric;
        let anchor = match (self.anchor, other.anchor) {
            (Anchor::Range, Anchor::Range) => Anchor::Range,
            // What training found or a kernel prescribes holds for others only if they fit into it.
            (Anchor::Trained(p), Anchor::Range) if forced || fits(p, other.bounds) => Anchor::Trained(p),
            (Anchor::Range, Anchor::Trained(p)) if forced || fits(p, self.bounds) => Anchor::Trained(p),
            (Anchor::Kernel(p), Anchor::Range) if fits(p, other.bounds) => Anchor::Kernel(p),
            (Anchor::Range, Anchor::Kernel(p)) if fits(p, self.bounds) => Anchor::Kernel(p),
            (Anchor::Kernel(p) | Anchor::Trained(p), Anchor::Kernel(q)) | (Anchor::Kernel(q), Anchor::Trained(p)) if p == q => {
                Anchor::Kernel(q)
            }
            (Anchor::Trained(p), Anchor::Trained(q)) if p == q => Anchor::Trained(p),
            (Anchor::Range | Anchor::Trained(_) | Anchor::Kernel(_), _) => return None,
        };
        match anchor {
            Anchor::Trained(p) | Anchor::Kernel(p) if symmetric && p.zero_point != 0 => None,
            Anchor::Range | Anchor::Trained(_) | Anchor::Kernel(_) => Some(Self { bounds, anchor, symmetric }),
        }
    }
}

/// A union-find over values.
#[derive(Debug)]
pub(super) struct Classes {
    width: Width,
    parent: Vec<usize>,
    class: Vec<Class>,
}

impl Classes {
    /// No values yet.
    pub(super) fn new(width: Width) -> Self {
        Self { width, parent: Vec::new(), class: Vec::new() }
    }

    /// Adds a value as a set of its own.
    pub(super) fn add(&mut self, class: Class) -> usize {
        self.parent.push(self.parent.len());
        self.class.push(class);
        self.parent.len() - 1
    }

    /// The representative of a value's set.
    pub(super) fn root(&self, mut node: usize) -> usize {
        while self.parent[node] != node {
            node = self.parent[node];
        }
        node
    }

    /// [`root`](Self::root) that shortens the way for later searches.
    fn find(&mut self, mut node: usize) -> usize {
        while self.parent[node] != node {
            self.parent[node] = self.parent[self.parent[node]];
            node = self.parent[node];
        }
        node
    }

    /// The set of a value.
    pub(super) fn class(&self, node: usize) -> &Class {
        &self.class[self.root(node)]
    }

    /// The set of a value, for changing.
    pub(super) fn class_mut(&mut self, node: usize) -> &mut Class {
        let root = self.root(node);
        &mut self.class[root]
    }

    /// Parameters of a value's set.
    pub(super) fn params(&self, node: usize) -> Option<Params> {
        self.class(node).params(self.width)
    }

    /// Puts two values into one set. Answers false, and changes nothing, when no parameters satisfy both.
    #[must_use]
    pub(super) fn unite(&mut self, a: usize, b: usize) -> bool {
        self.join(a, b, false)
    }

    /// [`unite`](Self::unite), where what training found for one of them holds for the other too, whose values come from it or go into it alone.
    #[must_use]
    pub(super) fn unite_trained(&mut self, a: usize, b: usize) -> bool {
        self.join(a, b, true)
    }

    fn join(&mut self, a: usize, b: usize, forced: bool) -> bool {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return true;
        }
        let Some(joined) = self.class[a].join(&self.class[b], self.width, forced) else { return false };
        // The older value represents the set, so that the outcome does not depend on the order of unions.
        let (keep, drop) = (a.min(b), a.max(b));
        self.parent[drop] = keep;
        self.class[keep] = joined;
        true
    }

    /// Widens a free set to hold a range. A prescribed set stays as it is.
    pub(super) fn absorb(&mut self, node: usize, bounds: Bounds) {
        let class = self.class_mut(node);
        if class.anchor == Anchor::Range {
            class.bounds = Some(class.bounds.map_or(bounds, |own| own.union(bounds)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBABILITY: Params = Params { scale: 1.0 / 256.0, zero_point: -128 };

    fn free(lo: f32, hi: f32) -> Class {
        Class::free(Bounds::new(lo, hi))
    }

    #[test]
    fn the_union_of_ranges_decides() {
        let mut classes = Classes::new(Width::I8);
        let (a, b, c) = (classes.add(free(-1.0, 2.0)), classes.add(free(0.0, 5.0)), classes.add(Class::free(None)));
        assert!(classes.unite(a, b) && classes.unite(b, c));
        assert_eq!(classes.params(c), Some(Params::asymmetric(Bounds { lo: -1.0, hi: 5.0 })));
    }

    #[test]
    fn a_kernel_keeps_its_scale_and_takes_what_fits() {
        let mut classes = Classes::new(Width::I8);
        let softmax = classes.add(Class { anchor: Anchor::Kernel(PROBABILITY), ..free(0.0, 1.0) });
        let (fits, wide) = (classes.add(free(0.0, 1.0)), classes.add(free(-3.0, 3.0)));
        assert!(classes.unite(fits, softmax));
        assert!(!classes.unite(wide, softmax), "a range beyond 0..1 needs a scale of its own");
        assert_eq!(classes.params(fits), Some(PROBABILITY));
        assert_eq!(classes.params(wide), Some(Params::asymmetric(Bounds { lo: -3.0, hi: 3.0 })));
    }

    #[test]
    fn trained_scales_spread_and_do_not_mix() {
        let (p, q) = (Params { scale: 0.5, zero_point: 3 }, Params { scale: 0.25, zero_point: 0 });
        let mut classes = Classes::new(Width::I8);
        let a = classes.add(Class { anchor: Anchor::Trained(p), ..free(0.0, 1.0) });
        let b = classes.add(free(-1e6, 1e6));
        let c = classes.add(Class { anchor: Anchor::Trained(q), ..free(0.0, 1.0) });
        assert!(!classes.unite(a, b), "nothing is clipped that training did not clip");
        assert!(classes.unite_trained(a, b));
        assert!(!classes.unite(b, c));
        assert_eq!(classes.params(b), Some(p));
        classes.class_mut(c).symmetric = true;
        let d = classes.add(Class { symmetric: true, ..free(-1.0, 1.0) });
        assert!(classes.unite(c, d) && !classes.unite(a, d), "zero point 3 is not symmetric");
    }
}
