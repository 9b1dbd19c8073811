//! Memory full of what is in use: what is made then goes on in a file, and leaves nothing there.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use ray_core::{Config, Error, ObjectView, object_store_stats, prelude::*, put};
use ray_tests::{Cluster, SmallDisk, eventually, kill9};
use tempfile::TempDir;

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const MIB: usize = 1 << 20;
const STORE: usize = 32 * MIB;

type View = ObjectView<Vec<u8>>;

#[remote]
fn all_are(bytes: &Archived<Vec<u8>>, fill: u8) -> bool {
    is_all(bytes, fill)
}

#[remote]
fn blob(fill: u8, len: u64) -> Vec<u8> {
    vec![fill; len as usize]
}

/// Views values until its node's memory is full of them.
#[actor]
struct Hoard {
    views: Vec<View>,
}

#[remote]
impl Hoard {
    pub fn new() -> Self {
        Hoard { views: Vec::new() }
    }

    /// Returns how much lies in the file then.
    pub fn fill(&mut self) -> Result<u64, Error> {
        self.views = pinned_full()?;
        Ok(object_store_stats()?.file_bytes)
    }

    pub fn make(&self, fill: u8, len: u64) -> Vec<u8> {
        vec![fill; len as usize]
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Does what no process of a job should: cuts the job's file short.
    pub fn cut(&self) -> u64 {
        let files = nameless_files(Path::new("/"));
        let cut = |path: &String| {
            let file = fs::OpenOptions::new().write(true).open(path);
            file.and_then(|file| file.set_len(0)).expect("it is cut");
        };
        files.iter().for_each(cut);
        files.len() as u64
    }
}

/// Compares whole words: a byte at a time takes minutes without optimisation.
fn is_all(bytes: &[u8], fill: u8) -> bool {
    let expected = vec![fill; bytes.len()];
    !bytes.is_empty() && *bytes == expected[..]
}

fn small_store() -> Config {
    Config::new()
        .num_cpus(2.0)
        .object_store_memory(STORE as u64)
}

/// Puts and views values until one of them lies in the file; each is filled with its number.
fn pinned_full() -> Result<Vec<View>, Error> {
    let mut views = Vec::new();
    while object_store_stats()?.file_bytes == 0 {
        views.push(put(&vec![views.len() as u8; 4 * MIB])?.view()?);
        assert!(
            views.len() <= 2 * STORE / (4 * MIB),
            "more than memory holds"
        );
    }
    Ok(views)
}

/// Returns this process's descriptors of files that lie in a folder, or did, and are used by objects.
fn nameless_files(dir: &Path) -> Vec<String> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("descriptors");
    let paths = descriptors.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            let target = fs::read_link(path).unwrap_or_default();
            let name = target.to_string_lossy();
            target.starts_with(dir) && name.contains("/spill-") && name.ends_with("(deleted)")
        })
        .map(|path| path.display().to_string())
        .collect()
}

/// Returns what the files of a folder take of their disk, the most of one.
fn disk_bytes(dir: &Path) -> u64 {
    let files = nameless_files(dir);
    let of = |path: &String| fs::metadata(path).map_or(0, |file| file.blocks() * 512);
    files.iter().map(of).max().expect("the arena has a file")
}

fn file_empties() -> bool {
    eventually(|| object_store_stats().is_ok_and(|stats| stats.file_bytes == 0))
}

// 137
#[ray_core::test]
fn a_put_into_a_store_full_of_views_goes_on_in_a_file_and_leaves_nothing() -> ray_core::Result<()> {
    let dir = TempDir::new().expect("a folder");
    let ray = small_store().spill_dir(dir.path()).init()?;
    let mut views = pinned_full()?;
    let mut objects = Vec::new();
    for fill in 100..104 {
        objects.push((put(&vec![fill; 6 * MIB])?, fill));
    }
    let stats = object_store_stats()?;
    assert!(stats.file_bytes as usize >= 24 * MIB, "{stats:?}");
    assert!(stats.memory_bytes as usize <= STORE, "{stats:?}");
    assert!(disk_bytes(dir.path()) >= stats.file_bytes);
    let left = fs::read_dir(dir.path()).expect("a folder").count();
    assert_eq!(left, 0, "the file has no name and so outlives nobody");
    for (object, fill) in &objects {
        assert!(all_are::remote(object, *fill).get()?, "in a worker");
        views.push(object.view()?);
        assert!(is_all(views.last().expect("pushed above"), *fill));
    }
    for (at, view) in views.iter().take(7).enumerate() {
        assert!(is_all(view, at as u8), "view {at}");
    }
    drop((views, objects));
    assert!(file_empties(), "{:?}", object_store_stats()?);
    assert_eq!(disk_bytes(dir.path()), 0, "the disk has its room back");
    // Memory is used again, and all of it.
    let again = put(&vec![7_u8; STORE / 2])?;
    assert!(is_all(&again.view()?, 7));
    assert_eq!(object_store_stats()?.file_bytes, 0);
    ray.shutdown()
}

#[ray_core::test]
fn results_of_tasks_go_on_in_the_file_and_leave_nothing() -> ray_core::Result<()> {
    let ray = small_store().init()?;
    let views = pinned_full()?;
    let before = object_store_stats()?.file_bytes;
    let results: Vec<_> = (0..4).map(|at| blob::remote(at, 5 * MIB as u64)).collect();
    for (at, result) in results.iter().enumerate() {
        assert!(is_all(&result.view()?, at as u8), "result {at}");
        assert!(all_are::remote(result, at as u8).get()?);
    }
    assert!(object_store_stats()?.file_bytes as usize >= before as usize + 20 * MIB);
    drop((views, results));
    assert!(file_empties(), "{:?}", object_store_stats()?);
    ray.shutdown()
}

#[ray_core::test]
fn what_a_killed_writer_had_in_the_file_comes_back() -> ray_core::Result<()> {
    let ray = small_store().init()?;
    let hoard = Hoard::remote();
    assert!(hoard.fill().get()? > 0);
    let result = hoard.make(9, 5 * MIB as u64);
    let view = result.view()?;
    kill9(hoard.pid().get()?);
    let died = hoard.pid().get();
    assert!(matches!(died, Err(Error::ActorDied { .. })), "{died:?}");
    assert!(is_all(&view, 9), "it is still read here");
    assert!(object_store_stats()?.file_bytes > 0);
    drop((view, result));
    assert!(file_empties(), "{:?}", object_store_stats()?);
    ray.shutdown()
}

#[ray_core::test]
fn another_node_reads_what_is_in_the_file_and_a_cut_file_hurts_its_job_alone()
-> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2", "store=32"]);
    let ray = cluster.driver().init()?;
    let hoard = Hoard::remote();
    assert!(hoard.fill().get()? > 0);
    let whole = hoard.make(3, 9 * MIB as u64);
    assert!(is_all(&whole.view()?, 3));
    let lost = hoard.make(4, 9 * MIB as u64);
    assert!(hoard.cut().get()? > 0);
    let got = lost.get_timeout(std::time::Duration::from_secs(2));
    assert!(got.is_err(), "its bytes are gone");
    // The node serves on, this job's other work included.
    assert_eq!(blob::remote(1, 9).get()?, vec![1; 9]);
    assert!(ray_tests::is_alive(cluster.node_pid(0)));
    ray.shutdown()
}

#[ray_core::test]
fn a_disk_that_is_full_too_is_an_error_until_somebody_lets_go() -> ray_core::Result<()> {
    let Some(disk) = SmallDisk::mount(16) else {
        eprintln!("skipped: only root can mount a small disk");
        return Ok(());
    };
    let ray = small_store().spill_dir(disk.path()).init()?;
    let mut views = pinned_full()?;
    let error = loop {
        match put(&vec![views.len() as u8; 4 * MIB]).and_then(|object| object.view()) {
            Ok(view) => views.push(view),
            Err(error) => break error,
        }
        assert!(views.len() < 14, "more than memory and disk hold");
    };
    assert!(matches!(error, Error::OutOfDisk { .. }), "{error}");
    let path = disk.path().display().to_string();
    assert!(error.to_string().contains(&path), "{error}");
    for (at, view) in views.iter().enumerate() {
        assert!(is_all(view, at as u8), "view {at}");
    }
    // Of what lies in the file and of what lies in memory: either makes room.
    views.pop();
    let again = put(&vec![200_u8; 4 * MIB])?.view()?;
    assert!(is_all(&again, 200));
    views.remove(0);
    let again = put(&vec![201_u8; 4 * MIB])?.view()?;
    assert!(is_all(&again, 201));
    ray.shutdown()
}
