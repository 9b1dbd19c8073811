//! Two builds of one program meet on one cluster: what they agree about works, the rest is refused call by call.

use std::{path::Path, process::Command};

use ray_tests::Cluster;

const FIRST: &str = env!("CARGO_BIN_EXE_board");

fn play(build: &Path, cluster: &Cluster) -> String {
    let output = Command::new(build)
        .args([cluster.address(), cluster.token()])
        .output()
        .unwrap_or_else(|error| {
            let built = "`cargo build -p ray-tests --example board` builds it";
            panic!("{}: {error}; {built}", build.display())
        });
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_call_whose_types_another_build_changed_is_refused_alone() {
    let first = Path::new(FIRST);
    let second = first.with_file_name("examples").join("board");
    let mut cluster = Cluster::start(env!("CARGO_BIN_EXE_drill"), &["0"]);
    cluster.join(&["2"]);

    let of_first = "Board { fields: [1, 1, 1, 1, 1, 1, 1, 1] }";
    let answers = play(first, &cluster);
    assert_eq!(
        answers,
        format!("place 1\nboard {of_first}\nput 2\nmoves 2\n")
    );

    let answers = play(&second, &cluster);
    let lines = answers.lines().collect::<Vec<_>>();
    for (line, call) in lines.iter().zip(["place", "board", "put"]) {
        assert!(line.starts_with(&format!("{call} refused: ")), "{answers}");
        assert!(line.contains("Board"), "{answers}");
    }
    // Nothing of the other build reached the keeper, and what both agree about works.
    assert_eq!(lines[3], "moves 2", "{answers}");
    // An actor that only one build knows is not found under the other's.
    assert!(
        lines[4].contains("Referee") && lines[4].contains("Keeper"),
        "{answers}"
    );
    assert_eq!(lines.len(), 5, "{answers}");

    let answers = play(first, &cluster);
    assert_eq!(
        answers,
        format!("place 3\nboard {of_first}\nput 4\nmoves 4\n")
    );
}
