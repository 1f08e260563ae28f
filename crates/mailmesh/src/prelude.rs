//! The names that most programs use.
//!
//! ```
//! use mailmesh::prelude::*;
//!
//! let filter = Filter::kinds([Kind::StateChange]);
//! let event = Event::from(StateChange::new(AccountId(7), ChangeId(42)).with(DataTypes::EMAIL));
//! # let _ = (filter, event);
//! ```

pub use crate::{
    AccountId, BlockUpdate, ChangeId, Coordinator, DataTypes, Event, Filter, Incoming, Kind,
    Network, Node, Rule, StateChange,
};
