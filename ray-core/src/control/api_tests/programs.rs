//! Programs that come with their content.

use super::*;

#[test]
fn a_program_reaches_the_cache_by_its_hash_and_from_drivers_only() {
    let running = Running::start();
    let content: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    let file = running.logs.path().join("program");
    std::fs::write(&file, &content).expect("written");
    let request = program(&content);
    let submit = |role| {
        running
            .client(role)
            .submit_job(request.clone(), &file)
            .expect_err("nobody is behind this desk who could start it")
    };
    let refused = submit(Role::Viewer);
    assert!(matches!(refused, Error::Unauthenticated(_)), "{refused}");
    let cached = running.double.jobs.cache().join(&request.executable);
    assert!(!cached.exists());
    let failed = submit(Role::Driver).to_string();
    assert!(failed.contains("the head is ending"), "{failed}");
    assert_eq!(std::fs::read(&cached).expect("it is there"), content);
}

#[test]
fn a_program_that_is_not_what_its_hash_says_is_refused() {
    let running = Running::start();
    let token = running.token(Role::Driver);
    let file = running.logs.path().join("program");
    std::fs::write(&file, vec![7; 3 << 20]).expect("written");
    let other = program(&vec![8; 3 << 20]);
    let upload = |secret: &[u8], bytes| {
        let request = Request::Upload {
            secret: secret.to_vec(),
            hash: other.executable.clone(),
            bytes,
        };
        let mut line = serde_json::to_vec(&request).expect("JSON");
        line.push(b'\n');
        match exchange(&running.address(), &token, &line, Some(&file)) {
            Ok((Reply::Refused(refused), _)) => refused.text,
            other => panic!("not refused: {other:?}"),
        }
    };
    assert!(upload(token.secret(), 3 << 20).contains("not what its hash says"));
    assert!(upload(token.secret(), 1 << 20).contains("longer than was announced"));
    assert!(upload(token.secret(), 4 << 20).contains("shorter than was announced"));
    assert!(upload(&[0; 32], 3 << 20).contains("no such token"));
    let kept = std::fs::read_dir(running.double.jobs.cache()).expect("a folder");
    assert_eq!(kept.count(), 0);
    running.assert_serves();
}
