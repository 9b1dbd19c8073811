//! References and handles inside values.

use std::marker::PhantomData;

use ray_engine::ids::{ActorId, ArchivedObjectId, ObjectId};
use rkyv::{
    Archive, Deserialize, Place, Portable, Serialize,
    bytecheck::CheckBytes,
    munge::munge,
    rancor::{Fallible, Strategy},
    ser::Serializer,
};

use super::De;
use crate::{
    actor::{ActorRef, CallLimits},
    object_ref::{AnyRef, ObjectRef},
};

/// Takes note of the references in a value that is written.
pub trait RefSink {
    /// Notes one; the sink keeps it alive.
    fn add_reference(&mut self, reference: &AnyRef);
}

impl<W: RefSink, A, S> RefSink for Serializer<W, A, S> {
    fn add_reference(&mut self, reference: &AnyRef) {
        self.writer.add_reference(reference);
    }
}

impl<C: RefSink, E> RefSink for Strategy<C, E> {
    fn add_reference(&mut self, reference: &AnyRef) {
        (**self).add_reference(reference);
    }
}

/// Makes references of the ids in a value that is read.
pub trait RefSource {
    /// Makes one; the value that contains the id already holds it.
    fn take_reference(&mut self, id: ObjectId) -> AnyRef;
}

impl RefSource for De {
    fn take_reference(&mut self, id: ObjectId) -> AnyRef {
        AnyRef::adopt(id)
    }
}

impl<C: RefSource, E> RefSource for Strategy<C, E> {
    fn take_reference(&mut self, id: ObjectId) -> AnyRef {
        (**self).take_reference(id)
    }
}

/// A reference inside an archive.
#[derive(Portable, CheckBytes)]
#[bytecheck(crate = rkyv::bytecheck)]
#[repr(transparent)]
pub struct ArchivedObjectRef<T> {
    id: ArchivedObjectId,
    marker: PhantomData<fn() -> T>,
}

impl<T> ArchivedObjectRef<T> {
    /// Returns the id.
    pub fn id(&self) -> ObjectId {
        ObjectId {
            owner: ray_engine::ids::ProcessId(self.id.owner.0.to_native()),
            index: self.id.index.to_native(),
        }
    }

    /// Returns a counted reference; the archive must be alive, as it is wherever it can be borrowed.
    pub fn to_ref(&self) -> ObjectRef<T> {
        ObjectRef::from_any(AnyRef::adopt(self.id()))
    }
}

impl<T> Archive for ObjectRef<T> {
    type Archived = ArchivedObjectRef<T>;
    type Resolver = <ObjectId as Archive>::Resolver;

    #[allow(
        unsafe_code,
        reason = "`munge!` expands to it; nothing is written by hand"
    )]
    fn resolve(&self, resolver: Self::Resolver, out: Place<Self::Archived>) {
        munge!(let ArchivedObjectRef { id, .. } = out);
        self.id().resolve(resolver, id);
    }
}

impl<T, S: Fallible + RefSink + ?Sized> Serialize<S> for ObjectRef<T> {
    fn serialize(&self, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        serializer.add_reference(self.any());
        self.id().serialize(serializer)
    }
}

impl<T, D: Fallible + RefSource + ?Sized> Deserialize<ObjectRef<T>, D> for ArchivedObjectRef<T> {
    fn deserialize(&self, deserializer: &mut D) -> Result<ObjectRef<T>, D::Error> {
        Ok(ObjectRef::from_any(deserializer.take_reference(self.id())))
    }
}

/// An actor handle as it is archived.
#[derive(Archive, Serialize, Deserialize)]
pub struct ActorWire {
    id: ActorId,
    hold: Option<ObjectRef<()>>,
    ordered: bool,
    max_task_retries: i32,
    max_pending_calls: u64,
}

impl ActorWire {
    fn of(actor: &ActorRef) -> ActorWire {
        let CallLimits {
            ordered,
            max_task_retries,
            max_pending_calls,
        } = actor.limits();
        let hold = actor.hold().map(|hold| ObjectRef::from_any(hold.clone()));
        ActorWire {
            id: actor.id(),
            hold,
            ordered,
            max_task_retries,
            max_pending_calls,
        }
    }
}

impl Archive for ActorRef {
    type Archived = ArchivedActorWire;
    type Resolver = ActorWireResolver;

    fn resolve(&self, resolver: Self::Resolver, out: Place<Self::Archived>) {
        ActorWire::of(self).resolve(resolver, out);
    }
}

impl<S: Fallible + ?Sized> Serialize<S> for ActorRef
where
    ActorWire: Serialize<S>,
{
    fn serialize(&self, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        ActorWire::of(self).serialize(serializer)
    }
}

impl<D: Fallible + ?Sized> Deserialize<ActorRef, D> for ArchivedActorWire
where
    ArchivedActorWire: Deserialize<ActorWire, D>,
{
    fn deserialize(&self, deserializer: &mut D) -> Result<ActorRef, D::Error> {
        let wire: ActorWire = Deserialize::<ActorWire, D>::deserialize(self, deserializer)?;
        let limits = CallLimits {
            ordered: wire.ordered,
            max_task_retries: wire.max_task_retries,
            max_pending_calls: wire.max_pending_calls,
        };
        Ok(ActorRef::from_parts(
            wire.id,
            wire.hold.map(|hold| hold.erase()),
            limits,
        ))
    }
}
