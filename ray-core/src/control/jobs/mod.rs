//! Submitted jobs: programs that the head keeps, starts, listens to and ends.
//!
//! What is to become of a job the control role decides (`role`, over the engine's machine); this is where
//! it is done. Its wishes come over a channel, one after the other: starting a process, sending it a
//! signal, writing down how it is. What was acknowledged to a submitter is in the store.

mod driver;
mod office;
mod record;
mod request;
mod role;
mod upload;

pub(crate) use office::{JobOffice, OfficePlan, Wish};
pub use request::JobRequest;
pub(super) use upload::Arriving;
