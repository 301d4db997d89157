//! The pure core (see below).
pub mod attempt;
pub mod id;
pub mod limits;
pub mod reason;
pub mod spec;
pub mod state;
