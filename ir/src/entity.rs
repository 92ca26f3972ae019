//! Typed ids and the arenas that hand them out.
//!
//! An id is never reused: erasing leaves a hole, and only [`crate::Module::compact`] renumbers.

use std::fmt;
use std::marker::PhantomData;

/// An id of one kind of entity: a `u32` that cannot be mixed up with another kind's.
pub trait EntityId: Copy + Eq + Ord + fmt::Debug {
    /// The id with this number.
    fn from_index(index: usize) -> Self;
    /// The number of this id.
    fn index(self) -> usize;
}

macro_rules! entity {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl EntityId for $name {
            fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

entity! {
    /// An operation of a graph; prints as `op7`.
    OpId, "op"
}
entity! {
    /// A value of a graph; prints as it stands in the text form: `%7`.
    ValueId, "%"
}
entity! {
    /// A constant's bytes in a module; prints as `const7`.
    ConstId, "const"
}
entity! {
    /// A graph of a module, numbered in file order; prints as `graph0`.
    GraphId, "graph"
}

impl GraphId {
    /// The main graph: the first one of a module.
    pub const MAIN: Self = Self(0);
}

/// Storage indexed by a typed id. Ids grow from zero and are never handed out twice.
#[derive(Clone, Debug)]
pub struct Arena<K, V> {
    slots: Vec<Option<V>>,
    live: usize,
    kind: PhantomData<K>,
}

impl<K, V> Default for Arena<K, V> {
    fn default() -> Self {
        Self { slots: Vec::new(), live: 0, kind: PhantomData }
    }
}

impl<K: EntityId, V> Arena<K, V> {
    /// The id that the next [`push`](Self::push) gives.
    pub fn next_id(&self) -> K {
        K::from_index(self.slots.len())
    }

    /// Stores `value` under a fresh id.
    pub fn push(&mut self, value: V) -> K {
        let id = self.next_id();
        self.slots.push(Some(value));
        self.live += 1;
        id
    }

    /// Stores `value` under a chosen id, leaving holes below it where needed.
    /// Gives the value back when the id is taken.
    pub fn insert(&mut self, id: K, value: V) -> Result<(), V> {
        let index = id.index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        match &mut self.slots[index] {
            Some(_) => Err(value),
            slot => {
                *slot = Some(value);
                self.live += 1;
                Ok(())
            }
        }
    }

    /// Takes an entity out; its id stays retired.
    pub fn remove(&mut self, id: K) -> Option<V> {
        let taken = self.slots.get_mut(id.index())?.take();
        self.live -= usize::from(taken.is_some());
        taken
    }

    /// The entity, if it is alive.
    pub fn get(&self, id: K) -> Option<&V> {
        self.slots.get(id.index())?.as_ref()
    }

    /// The entity for changing, if it is alive.
    pub fn get_mut(&mut self, id: K) -> Option<&mut V> {
        self.slots.get_mut(id.index())?.as_mut()
    }

    /// Live entities in id order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &V)> {
        self.slots.iter().enumerate().filter_map(|(i, v)| Some((K::from_index(i), v.as_ref()?)))
    }

    /// Ids of live entities in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = K> + '_ {
        self.iter().map(|(id, _)| id)
    }

    /// Number of live entities.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether nothing is alive.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// One more than the largest id ever given: the length of a side table indexed by id.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }
}

impl<K: EntityId, V> std::ops::Index<K> for Arena<K, V> {
    type Output = V;
    /// # Panics
    /// When the id is not alive in this arena, which is a bug of the caller.
    fn index(&self, id: K) -> &V {
        self.get(id).unwrap_or_else(|| panic!("{id:?} is not alive"))
    }
}

impl<K: EntityId, V> std::ops::IndexMut<K> for Arena<K, V> {
    fn index_mut(&mut self, id: K) -> &mut V {
        self.get_mut(id).unwrap_or_else(|| panic!("{id:?} is not alive"))
    }
}
