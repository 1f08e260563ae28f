//! The lanes of a sender, and values that exist once per lane.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// One of the two streams of a sender. Events are ordered within a lane only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Lane {
    /// Events that go ahead of waiting events of the other lane.
    Urgent = 0,
    /// All other events.
    Events = 1,
}

impl Lane {
    /// Both lanes, in order of their index.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Events];

    /// The lane of a number on the wire; `None` if no lane has it.
    pub(crate) fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Urgent => "urgent",
            Self::Events => "events",
        })
    }
}

/// One value for each [`Lane`]. Iterators yield the values in the order of [`Lane::ALL`]. Serde
/// encodes it as an array of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerLane<T>([T; Lane::ALL.len()]);

impl<T> PerLane<T> {
    /// The values of [`Lane::Urgent`] and of [`Lane::Events`].
    #[must_use]
    pub const fn new(urgent: T, events: T) -> Self {
        Self([urgent, events])
    }

    /// The value that `f` returns for each lane.
    #[must_use]
    pub fn from_fn(f: impl FnMut(Lane) -> T) -> Self {
        Self(Lane::ALL.map(f))
    }

    /// Each value replaced by the result of `f`.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> PerLane<U> {
        PerLane(self.0.map(f))
    }

    /// The values by reference.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The values by mutable reference.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    /// Whether a lane has this value.
    #[must_use]
    pub fn contains(&self, value: &T) -> bool
    where
        T: PartialEq,
    {
        self.0.contains(value)
    }
}

impl<T> Index<Lane> for PerLane<T> {
    type Output = T;

    fn index(&self, lane: Lane) -> &T {
        &self.0[lane.index()]
    }
}

impl<T> IndexMut<Lane> for PerLane<T> {
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        &mut self.0[lane.index()]
    }
}

impl<T> IntoIterator for PerLane<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, { Lane::ALL.len() }>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a PerLane<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut PerLane<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_indexed_by_lane_and_iterated_in_lane_order() {
        let mut names = PerLane::from_fn(|lane| lane.to_string());
        assert!(names.iter().eq(["urgent", "events"]));
        names[Lane::Events].push('!');
        assert_eq!(names, PerLane::new("urgent".into(), "events!".into()));
        assert!(names.map(|name| name.len()).into_iter().eq([6, 7]));
    }
}
