//! The owner's directory of copies, one behaviour a test.

use ray_engine::{
    chunks::Chunks,
    ids::{NodeId, ObjectId, ProcessId},
    owner::{Limits, Owner},
};

type TestOwner = Owner<(), u8>;

fn owner() -> (TestOwner, ObjectId) {
    let mut owner = TestOwner::new(ProcessId(1 << 28), Limits::default());
    let object = owner.put(7, &[]);
    (owner, object)
}

#[test]
fn holders_are_known_until_they_drop_their_copy() {
    let (mut owner, object) = owner();
    assert!(owner.on_holder(object, NodeId(3), Some(Chunks::none(4))));
    assert!(owner.on_holder(object, NodeId(2), None));
    assert!(owner.on_holder(object, NodeId(3), None));
    assert_eq!(
        owner.holders(object),
        [(NodeId(2), None), (NodeId(3), None)]
    );
    owner.on_holder_gone(object, NodeId(2));
    assert_eq!(owner.holders(object), [(NodeId(3), None)]);
    owner.on_holder_gone(object, NodeId(3));
    assert_eq!(owner.holders(object), []);
}

#[test]
fn a_copy_of_a_freed_object_is_of_no_use() {
    let (mut owner, object) = owner();
    owner.on_holder(object, NodeId(2), None);
    owner.drop_handle(object);
    assert_eq!(owner.take_holders(object), [NodeId(2)]);
    assert!(!owner.on_holder(object, NodeId(3), None));
    assert_eq!(owner.holders(object), []);
}

#[test]
fn a_copy_that_was_told_of_late_is_of_no_use_when_the_object_was_freed_by_hand() {
    let (mut owner, object) = owner();
    owner.free(object);
    assert!(!owner.on_holder(object, NodeId(3), None));
    assert_eq!(owner.holders(object), []);
}

#[test]
fn what_still_has_copies_is_named_when_a_node_dies() {
    let (mut owner, first) = owner();
    let second = owner.put(8, &[]);
    owner.on_holder(first, NodeId(2), None);
    owner.on_holder(first, NodeId(3), None);
    owner.on_holder(second, NodeId(2), None);
    assert_eq!(owner.on_holding_node_died(NodeId(2)), [first]);
    assert_eq!(owner.holders(first), [(NodeId(3), None)]);
}
