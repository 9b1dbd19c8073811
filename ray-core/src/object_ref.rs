//! References to immutable values: counted, cloneable, sendable.

use std::{fmt, marker::PhantomData, sync::Arc};

use ray_engine::ids::ObjectId;

use crate::runtime;

/// A reference to a value of any type; see [`ObjectRef::erase`].
#[derive(Clone)]
pub struct AnyRef(Arc<Handle>);

/// One counted handle at this process's owner table; its drop gives the count back.
struct Handle {
    id: ObjectId,
}

impl Drop for Handle {
    fn drop(&mut self) {
        runtime::drop_handle(self.id);
    }
}

impl AnyRef {
    /// Wraps a handle that the owner table has already counted for this reference.
    pub(crate) fn counted(id: ObjectId) -> AnyRef {
        AnyRef(Arc::new(Handle { id }))
    }

    /// Counts a new handle of `id`, which something in this process already holds, and wraps it.
    pub(crate) fn adopt(id: ObjectId) -> AnyRef {
        runtime::add_handle(id);
        AnyRef::counted(id)
    }

    /// Returns the id of the value.
    pub fn id(&self) -> ObjectId {
        self.0.id
    }
}

impl fmt::Debug for AnyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyRef({})", self.0.id)
    }
}

/// A reference to a value of type `T` that exists somewhere in the cluster, or will.
///
/// Clones are counted; the value is freed when the last reference in any process is gone.
pub struct ObjectRef<T> {
    any: AnyRef,
    marker: PhantomData<fn() -> T>,
}

impl<T> ObjectRef<T> {
    /// Gives an untyped reference its type; the caller knows it.
    pub(crate) fn from_any(any: AnyRef) -> ObjectRef<T> {
        ObjectRef { any, marker: PhantomData }
    }

    pub(crate) fn any(&self) -> &AnyRef {
        &self.any
    }

    /// Returns the id of the value.
    pub fn id(&self) -> ObjectId {
        self.any.id()
    }

    /// Returns a reference to the same value without its type.
    pub fn erase(&self) -> AnyRef {
        self.any.clone()
    }
}

impl<T> Clone for ObjectRef<T> {
    fn clone(&self) -> Self {
        ObjectRef::from_any(self.any.clone())
    }
}

impl<T> fmt::Debug for ObjectRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRef({})", self.id())
    }
}
