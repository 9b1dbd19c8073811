//! `object_locations`: which nodes have an object, and how large it is.

use ray_core::{Error, NodeId, get_all, init, object_locations, prelude::*, put, runtime_context};
use ray_tests::{Cluster, Tokens, eventually, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const SIZE: usize = 8 << 20;

#[remote]
fn make(len: u64) -> Vec<u8> {
    vec![1; len as usize]
}

#[remote]
fn make_when_told(gate: String) -> Vec<u8> {
    take_token(&gate);
    vec![1; SIZE]
}

#[remote]
fn len_of(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.len() as u64
}

#[remote]
fn nodes_of(inside: Vec<ObjectRef<Vec<u8>>>) -> Result<Vec<String>, Error> {
    let nodes = object_locations(&inside)?
        .into_iter()
        .flat_map(|found| found.nodes);
    Ok(nodes.map(|node| node.to_string()).collect())
}

fn here() -> NodeId {
    runtime_context().node
}

#[ray_core::test]
fn objects_of_one_node_are_there_once_they_are_made() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let (large, small) = (put(&vec![1_u8; SIZE])?, make::remote(10));
    let late = make_when_told::remote(gate.path());
    small.get()?;
    let found = object_locations(&[&large, &small, &late])?;
    assert_eq!(found[0].nodes, [here()]);
    assert!(found[0].size.is_some_and(|size| size >= SIZE as u64));
    assert_eq!(found[1].nodes, [here()]);
    assert!(found[1].size.is_some_and(|size| (10..1000).contains(&size)));
    assert_eq!((found[2].nodes.len(), found[2].size), (0, None));
    gate.add(1);
    late.view()?;
    assert_eq!(object_locations(&[&late])?[0].nodes, [here()]);
    // Whoever borrows asks the owner.
    let asked = nodes_of::remote(vec![large.clone(), late]).get()?;
    assert_eq!(asked, [here().to_string(), here().to_string()]);
    Ok(())
}

#[ray_core::test]
fn copies_are_found_on_the_nodes_that_have_them() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let homes = ["a", "b"].map(|name| cluster.join(&["2", &format!("{name}=4")]));
    let _ray = cluster.driver().init()?;
    let object = make::options().resource("a", 1.0).remote(SIZE as u64);
    let places = || -> ray_core::Result<Vec<String>> {
        let found = object_locations(&[&object])?.remove(0);
        Ok(found.nodes.iter().map(NodeId::to_string).collect())
    };
    ray_core::wait_any(&[object.erase()], 1, None)?;
    assert!(places()?.contains(&homes[0]));
    let on = ["a", "b"].map(|name| len_of::options().resource(name, 1.0).remote(&object));
    assert_eq!(get_all(&on)?, [SIZE as u64; 2]);
    for home in &homes {
        // The word of a new copy is on its way.
        assert!(eventually(
            || places().is_ok_and(|places| places.contains(home))
        ));
    }
    let asked = nodes_of::options()
        .resource("b", 1.0)
        .remote(vec![object.clone()])
        .get()?;
    assert!(asked.contains(&homes[0]) && asked.contains(&homes[1]));
    cluster.kill_node(1);
    assert!(eventually(|| {
        places().is_ok_and(|places| !places.contains(&homes[1]) && places.contains(&homes[0]))
    }));
    Ok(())
}
