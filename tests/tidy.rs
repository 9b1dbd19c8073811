//! The house's rules that a compiler does not keep: arrows, unsafe, the length of the map.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// Returns every Rust file below `dir` with its text; what a macro is tried on is not our code.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs")
                && !path.ends_with("expand/tests.rs")
            {
                let text = fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{dir} holds no code");
    found
}

/// Fails when code below `dir` names one of `forbidden`.
fn refuse(dir: &str, forbidden: &[&str], why: &str) {
    for (path, text) in sources(dir) {
        for (at, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in forbidden {
                assert!(
                    !code.contains(word),
                    "{}:{}: `{word}`: {why}",
                    path.display(),
                    at + 1
                );
            }
        }
    }
}

#[test]
fn the_engine_knows_no_clock_io_or_chance() {
    refuse(
        "ray-core/engine/src",
        &[
            "Instant",
            "SystemTime",
            "std::net",
            "std::fs",
            "std::thread",
            "tokio",
            "quinn",
            "rand",
        ],
        "decisions are pure; time and chance are arguments",
    );
}

#[test]
fn arrows_point_down() {
    for dir in [
        "ray-core/engine/src",
        "ray-core/net/src",
        "ray-core/shm/src",
    ] {
        refuse(
            dir,
            &["ray_core", "ray_rl", "environments"],
            "it lies below",
        );
    }
    refuse(
        "ray-core/net/src",
        &["ray_engine", "ray_shm"],
        "these do not know each other",
    );
    refuse(
        "ray-core/shm/src",
        &["ray_engine", "ray_net"],
        "these do not know each other",
    );
    refuse(
        "ray-core/engine/src",
        &["ray_net", "ray_shm"],
        "these do not know each other",
    );
    refuse("ray-core/src", &["ray_rl", "environments"], "it lies below");
    refuse(
        "environments/src",
        &["ray_core", "ray_rl", "ray_engine", "ray_net", "ray_shm"],
        "environments depend on nothing of ours",
    );
    for dir in ["nn", "policy", "algo", "report"] {
        refuse(
            &format!("ray-rl/src/{dir}"),
            &["ray_core::put", "ray_core::get", "ObjectRef", "#[actor"],
            "algorithms know no actors",
        );
    }
    refuse("ray-cli/floor/src", &["ray_core"], "a floor is bare");
}

#[test]
fn unsafe_stays_in_the_shared_memory_crate_with_a_reason() {
    for dir in [
        "ray-core/src",
        "ray-core/engine",
        "ray-core/net",
        "ray-rl",
        "environments",
        "ray-cli",
        "ray-macros/src",
        "examples",
    ] {
        refuse(
            dir,
            &["unsafe {", "unsafe fn ", "unsafe impl "],
            "hand-written unsafe is in ray-shm only",
        );
    }
    for (path, text) in sources("ray-core/shm/src") {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("unsafe {") || code.contains("unsafe impl") {
                let above = &lines[at.saturating_sub(5)..at];
                assert!(
                    above.iter().any(|line| line.contains("// SAFETY:")),
                    "{}:{}: no reason above it",
                    path.display(),
                    at + 1
                );
            }
        }
    }
}

#[test]
fn nothing_is_left_for_later_in_silence() {
    for dir in [
        "ray-core",
        "ray-macros/src",
        "ray-rl",
        "environments",
        "ray-cli",
        "examples",
        "tests/integration",
        "tests/sim",
    ] {
        let later = ["todo", "unimplemented"].map(|name| format!("{name}!("));
        let ignored = format!("#[{}", "ignore");
        refuse(
            dir,
            &[&later[0], &later[1], &ignored],
            "finish it or leave it out",
        );
    }
}

#[test]
fn the_map_fits_on_its_page() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map");
    assert!(map.lines().count() <= 250);
}
