//! The one runtime of this process.

use ray_engine::ids::ObjectId;

pub(crate) fn add_handle(_id: ObjectId) {}
pub(crate) fn drop_handle(_id: ObjectId) {}
