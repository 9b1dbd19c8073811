//! `free`: values go although somebody refers to them, and nobody who still looks at one sees it change.

use ray_core::{
    Config, Error, free, get_all, init, object_locations, object_store_stats, prelude::*, put,
};
use ray_tests::{Cluster, Tokens, eventually, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const MIB: usize = 1 << 20;
const SIZE: usize = 8 * MIB;
const STORE: u64 = 64 << 20;

#[remote]
fn sum_of(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[remote]
fn sum_when_told(bytes: &Archived<Vec<u8>>, gate: String) -> u64 {
    take_token(&gate);
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[remote]
fn make_when_told(gate: String) -> Vec<u8> {
    take_token(&gate);
    vec![5; SIZE]
}

#[remote(num_cpus = 0)]
fn copies() -> Result<u64, Error> {
    Ok(object_store_stats()?.copies)
}

/// Keeps a reference to an object of somebody else.
#[actor(num_cpus = 0)]
struct Keeper {
    kept: Vec<ObjectRef<Vec<u8>>>,
}

#[remote]
impl Keeper {
    pub fn new() -> Self {
        Keeper { kept: Vec::new() }
    }

    pub fn keep(&mut self, inside: Vec<ObjectRef<Vec<u8>>>) -> Result<u64, Error> {
        self.kept = inside;
        self.first()
    }

    pub fn first(&self) -> Result<u64, Error> {
        Ok(u64::from(self.kept[0].view()?[0]))
    }

    pub fn free(&self) -> Result<(), Error> {
        free(&self.kept)
    }
}

fn small_store() -> Config {
    Config::new().num_cpus(2.0).object_store_memory(STORE)
}

fn is_freed<T>(outcome: Result<T, Error>) -> bool {
    match outcome {
        Err(Error::ObjectFreed(_)) => true,
        // From inside an actor it comes as what its method failed with.
        Err(Error::Task { message, .. }) => message.contains("freed"),
        _ => false,
    }
}

#[ray_core::test]
fn memory_comes_back_while_references_stay() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let mut kept = Vec::new();
    for fill in 0..32 {
        let object = put(&vec![fill; SIZE])?;
        assert_eq!(object.view()?[0], fill);
        free(&[&object])?;
        kept.push(object);
    }
    // Four times the store: without the frees most of it would be on disk.
    assert_eq!(object_store_stats()?.spilled_bytes, 0);
    for object in &kept {
        assert!(is_freed(object.get()), "{object:?}");
        assert!(object.is_ready(), "there is an outcome: a failure");
    }
    Ok(())
}

#[ray_core::test]
fn a_view_keeps_what_it_shows() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let object = put(&vec![3_u8; SIZE])?;
    let view = object.view()?;
    free(std::slice::from_ref(&object))?;
    assert!(is_freed(object.view()));
    for fill in 10..26 {
        let other = put(&vec![fill; SIZE])?;
        assert_eq!(other.view()?[SIZE - 1], fill);
        free(&[other])?;
    }
    assert!(view.iter().all(|byte| *byte == 3));
    drop(view);
    let whole = vec![4_u8; (STORE - (4 << 20)) as usize];
    let whole = put(&whole)?;
    assert_eq!(whole.view()?[0], 4);
    // Were it still there, it would have had to go to disk.
    let is_gone = || object_store_stats().is_ok_and(|stats| stats.disk_bytes == 0);
    assert!(eventually(is_gone));
    Ok(())
}

#[ray_core::test]
fn calls_that_were_submitted_before_run_and_later_ones_fail() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let gate = Tokens::new();
    let object = put(&vec![2_u8; SIZE])?;
    let before = sum_when_told::remote(&object, gate.path());
    free(&[&object])?;
    let after = sum_of::remote(&object);
    assert!(is_freed(after.get()));
    gate.add(1);
    assert_eq!(before.get()?, 2 * SIZE as u64);
    Ok(())
}

#[ray_core::test]
fn a_result_that_is_freed_before_it_is_made_is_never_read() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let gate = Tokens::new();
    let object = make_when_told::remote(gate.path());
    free(&[&object])?;
    assert!(!object.is_ready());
    gate.add(1);
    assert!(is_freed(object.get()));
    let nowhere = &object_locations(&[&object])?[0];
    assert_eq!((nowhere.nodes.len(), nowhere.size), (0, None));
    Ok(())
}

#[ray_core::test]
fn freeing_again_or_what_is_small_or_has_failed_does_no_harm() -> ray_core::Result<()> {
    let _ray = init()?;
    let small = sum_of::remote(vec![1_u8; 10]);
    assert_eq!(small.get()?, 10);
    free(&[&small, &small])?;
    free(&[&small])?;
    assert!(is_freed(small.get()));
    let failed = sum_of::remote(&put(&vec![1_u8])?);
    ray_core::cancel(&failed)?;
    let outcome = failed.get();
    free(&[&failed])?;
    match outcome {
        Ok(_) => assert!(is_freed(failed.get())),
        Err(_) => assert!(matches!(failed.get(), Err(Error::Cancelled))),
    }
    let none: [ray_core::AnyRef; 0] = [];
    free(&none)?;
    Ok(())
}

#[ray_core::test]
fn every_nodes_copy_goes() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    for name in ["a", "b"] {
        cluster.join(&["2", &format!("{name}=4")]);
    }
    let _ray = cluster.driver().init()?;
    // More than what is sent in a frame to a process that has not said of which job it is.
    let object = put(&vec![1_u8; 12 * MIB])?;
    let on = ["a", "b"];
    let sums = on.map(|name| sum_of::options().resource(name, 1.0).remote(&object));
    assert_eq!(get_all(&sums)?, [12 * MIB as u64; 2]);
    let copies_known = || object_locations(&[&object]).is_ok_and(|found| found[0].nodes.len() == 3);
    assert!(
        eventually(copies_known),
        "{:?}",
        object_locations(&[&object])
    );
    free(&[&object])?;
    let counts = || get_all(&on.map(|name| copies::options().resource(name, 1.0).remote()));
    assert!(eventually(|| counts().is_ok_and(|counts| counts == [0; 2])));
    assert!(is_freed(object.get()));
    assert_eq!(object_locations(&[&object])?[0].nodes, []);
    Ok(())
}

#[ray_core::test]
fn borrowers_on_other_nodes_read_nothing_more() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    for name in ["a", "b"] {
        cluster.join(&["2", &format!("{name}=4")]);
    }
    let _ray = cluster.driver().init()?;
    let keepers = ["a", "b"].map(|name| Keeper::options().resource(name, 1.0).remote());
    let object = put(&vec![6_u8; SIZE])?;
    for keeper in &keepers {
        assert_eq!(keeper.keep(vec![object.clone()]).get()?, 6);
    }
    free(&[&object])?;
    for keeper in &keepers {
        // The word of it is on its way.
        assert!(eventually(|| is_freed(keeper.first().get())));
    }
    // A borrower may free as well: the owner hears of it.
    let other = put(&vec![7_u8; SIZE])?;
    assert_eq!(keepers[0].keep(vec![other.clone()]).get()?, 7);
    keepers[0].free().get()?;
    assert!(is_freed(keepers[0].first().get()));
    assert!(eventually(|| is_freed(other.get())));
    Ok(())
}
