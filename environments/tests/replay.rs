//! Episodes recorded with Gymnasium 1.4.0 and MinAtar 1.0.15, replayed; and what a replay says when they differ.

use std::{fs, path::PathBuf, process::Command};

use environments::replay::{Part, ReplayError, Verdict, replay};
use serde_json::{Value as Json, json};

fn traces() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

fn load(name: &str) -> Json {
    let text = fs::read_to_string(traces().join(name)).expect("a trace file");
    serde_json::from_str(&text).expect("JSON")
}

/// Replays a file after a change; returns what differs.
fn differences(name: &str, change: impl FnOnce(&mut Json)) -> Vec<(Part, String)> {
    let mut json = load(name);
    change(&mut json);
    let verdicts = replay(&json.to_string()).expect("a trace file");
    let difference = |verdict: Verdict| Some((verdict.part, verdict.first_difference?));
    verdicts.into_iter().filter_map(difference).collect()
}

#[test]
fn every_recorded_episode_is_equal() {
    let mut count = 0;
    for entry in fs::read_dir(traces()).expect("the folder of traces") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a trace file");
        for verdict in replay(&text).expect("a trace file") {
            assert!(verdict.is_ok(), "{}: {verdict:?}", path.display());
            count += 1;
        }
    }
    assert!(count > 100, "{count} parts");
}

#[test]
fn a_changed_observation_reward_or_flag_is_found_at_its_step() {
    let name = "MountainCar-v0.json";
    let found = differences(name, |json| json["traces"][0]["obs"][3][1] = json!(0.06));
    assert!(matches!(&found[..], [(Part::Trace(0), text)]
        if text.starts_with("step 3: observation[1] is ")));
    let found = differences(name, |json| json["traces"][1]["rewards"][2] = json!(0.0));
    assert_eq!(
        found,
        [(
            Part::Trace(1),
            "step 2: the reward is -1, recorded was 0".to_owned()
        )]
    );
    let found = differences(name, |json| json["traces"][0]["truncated"] = json!(null));
    assert_eq!(
        found,
        [(
            Part::Trace(0),
            "step 199: truncated is true, recorded was false".to_owned()
        )]
    );
}

#[test]
fn a_changed_table_or_info_is_found() {
    let name = "Taxi-v4.json";
    let found = differences(name, |json| json["P1"][7][4][1] = json!(-2));
    assert!(matches!(&found[..], [(Part::Table, text)] if text.starts_with("P1[7][4]: ")));
    let found = differences(name, |json| {
        json["initial_state_distribution"][0] = json!(0.5)
    });
    assert!(matches!(&found[..], [(Part::Table, _)]));
    let found = differences(name, |json| {
        let mask = &mut json["traces"][0]["infos"][1]["action_mask"];
        mask[0] = json!(1 - mask[0].as_i64().expect("a mask"));
    });
    assert!(matches!(&found[..], [(Part::Trace(0), text)]
        if text.starts_with("step 1: info `action_mask`[0] is ")));
    let found = differences(name, |json| json["reward_threshold"] = json!(9));
    assert!(matches!(&found[..], [(Part::Spec, _)]));
}

#[test]
fn draws_that_are_missing_or_left_over_are_found() {
    let is_dealt = |trace: &Json| {
        trace["cards_drawn"]
            .as_array()
            .is_some_and(|cards| !cards.is_empty())
    };
    let at = load("Blackjack-v1.json")["traces"]
        .as_array()
        .and_then(|traces| traces.iter().position(is_dealt))
        .expect("somebody draws");
    let cards = |change: fn(&mut Vec<Json>)| {
        differences("Blackjack-v1.json", |json| {
            change(
                json["traces"][at]["cards_drawn"]
                    .as_array_mut()
                    .expect("cards"),
            )
        })
    };
    let found = cards(|cards| cards.push(json!(1)));
    assert!(matches!(&found[..], [(Part::Trace(_), text)] if text.ends_with("were not made")));
    assert_eq!(cards(|cards| cards.clear()).len(), 1);
    let found = differences("minatar-asterix.json", |json| {
        json["traces"][0]["step_draws"][0] = json!([["rand", 0.5]])
    });
    assert!(matches!(&found[..], [(Part::Trace(0), text)] if text.ends_with("were not made")));
}

#[test]
fn a_changed_autoreset_is_found() {
    let found = differences("vector-autoreset-CartPole-v1.json", |json| {
        for trace in json["traces"].as_array_mut().expect("traces") {
            if trace["autoreset_mode"] == "NextStep" {
                trace["autoreset_mode"] = json!("SameStep");
            }
        }
    });
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn other_ways_to_write_draws_and_masks_are_read() {
    let found = differences("minatar-asterix.json", |json| {
        for trace in json["traces"].as_array_mut().expect("traces") {
            let steps = trace["step_draws"].as_array().expect("a list a step");
            let all = steps.iter().filter_map(Json::as_array).flatten().cloned();
            trace["step_draws"] = all.collect();
        }
    });
    assert_eq!(found, []);
    let rewritten = |write: fn(Vec<(usize, Json)>) -> Json| {
        differences("vector-autoreset-CartPole-v1.json", |json| {
            for trace in json["traces"].as_array_mut().expect("traces") {
                let masks = trace["manual_reset_mask"].as_array().expect("a list");
                let masks = masks.iter().cloned().enumerate();
                trace["manual_reset_mask"] =
                    write(masks.filter(|(_, mask)| !mask.is_null()).collect());
            }
        })
    };
    assert_eq!(
        rewritten(|masks| masks.into_iter().map(|(_, mask)| mask).collect()),
        []
    );
    assert_eq!(
        rewritten(|masks| masks
            .into_iter()
            .map(|(at, mask)| json!([at, mask]))
            .collect()),
        []
    );
    let objects = |masks: Vec<(usize, Json)>| {
        masks
            .into_iter()
            .map(|(at, mask)| json!({"step": at, "mask": mask}))
            .collect()
    };
    assert_eq!(rewritten(objects), []);
    let by_step = |masks: Vec<(usize, Json)>| {
        masks
            .into_iter()
            .map(|(at, mask)| (at.to_string(), mask))
            .collect()
    };
    assert_eq!(rewritten(by_step), []);
}

#[test]
fn what_is_no_trace_file_is_an_error() {
    let malformed = |text: &str| matches!(replay(text), Err(ReplayError::Malformed(_)));
    assert!(matches!(replay("{"), Err(ReplayError::Json(_))));
    assert!(malformed("[]") && malformed("{}") && malformed(r#"{"env": 3}"#));
    assert!(malformed(r#"{"env": "CartPole-v1", "traces": 4}"#));
    assert!(malformed(r#"{"env": "CartPole-v1", "traces": [4]}"#));
    assert!(malformed(r#"{"env": "CartPole-v1", "traces": [{}]}"#));
    let trace = |trace: Json| json!({"env": "CartPole-v1", "traces": [trace]}).to_string();
    let start = [0.0; 4];
    assert!(malformed(&trace(json!({"init_state": "x", "actions": []}))));
    assert!(malformed(&trace(json!({"init_state": start}))));
    assert!(malformed(&trace(
        json!({"init_state": start, "actions": ["left"], "obs": [], "rewards": []})
    )));
    assert!(malformed(&trace(
        json!({"init_state": start, "actions": [0], "obs": ["zz"], "rewards": []})
    )));
    let kwargs = json!({"init_state": start, "kwargs": {"colour": 1}, "actions": []});
    assert!(matches!(replay(&trace(kwargs)), Err(ReplayError::Make(_))));
    let short = json!({"init_state": [0.0], "actions": []});
    assert!(matches!(replay(&trace(short)), Err(ReplayError::Env(_))));
    assert!(matches!(
        replay(r#"{"env": "CartPole-v7"}"#),
        Err(ReplayError::Make(_))
    ));
}

#[test]
fn env_replay_prints_a_line_a_trace_and_exits_by_the_outcome() {
    let run = |files: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_env-replay"))
            .args(files)
            .output()
            .expect("it runs");
        let text = String::from_utf8(output.stdout).expect("text");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        (output.status.code(), lines.collect::<Vec<Json>>())
    };
    let good = traces().join("CliffWalking-v1.json").display().to_string();
    let (code, lines) = run(&[&good]);
    assert_eq!(code, Some(0));
    assert_eq!(
        lines[0],
        json!({"file": good, "trace": "table", "ok": true, "first_difference": null})
    );
    assert_eq!(lines[1]["trace"], json!(0));

    let folder = tempfile::tempdir().expect("a folder");
    let bad = folder.path().join("bad.json").display().to_string();
    let mut changed = load("CliffWalking-v1.json");
    changed["traces"][0]["obs"][0] = json!(47);
    fs::write(&bad, changed.to_string()).expect("written");
    let (code, lines) = run(&[&good, &bad]);
    assert_eq!(code, Some(1));
    let differing = lines.iter().filter(|line| line["ok"] == json!(false));
    assert_eq!(differing.collect::<Vec<_>>(), [&lines[3]]);

    fs::write(&bad, "{").expect("written");
    assert_eq!(run(&[&bad, &good]), (Some(2), run(&[&good]).1));
    assert_eq!(run(&["/nowhere"]), (Some(2), Vec::new()));
}
